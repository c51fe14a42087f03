// EMNIST, as its archive has it: transposed images, and letters from 1.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include "../malformed.h"
#include "trainer/data.h"
#include "trainer/formats.h"

using namespace ballast;
using namespace ballast::app;

namespace {

/// The four files of a part of EMNIST: images of 2 x 3 pixels as they are seen, with these labels.
void write_emnist(const std::string& folder, const std::string& name, const std::string& labels) {
  const auto count = static_cast<uint32_t>(labels.size());
  std::string pixels;  // columns as rows: 3 x 2
  for (uint32_t n = 0; n < count; ++n)
    for (const char* pixel : {"a", "d", "b", "e", "c", "f"}) pixels += pixel;
  for (const char* part : {"train", "test"}) {
    const std::string begin = fmt::format("{}/emnist-{}-{}-", folder, name, part);
    write_bytes(begin + "images-idx3-ubyte.gz",
                deflated(16 + MAX_WBITS,
                         big_endian(0x803) + big_endian(count) + big_endian(3) + big_endian(2) + pixels));
    write_bytes(begin + "labels-idx1-ubyte.gz",
                deflated(16 + MAX_WBITS, big_endian(0x801) + big_endian(count) + labels));
  }
}

}  // namespace

TEST_CASE("EMNIST: its folder is recognized, images are turned upright, and letters begin with class 0") {
  const TempFolder folder;
  write_emnist(folder.path().string(), "letters", {1, 26, 2, 1, 26, 2, 1, 26, 2, 1});
  DataOptions options;
  options.data = folder.path().string();
  const Dataset test = load_data(options).split.test;
  CHECK(test.sample_shape == Shape{1, 2, 3});
  CHECK(test.classes == 26);
  const Sample sample = test.sample(1);
  CHECK(sample.label() == 25);
  for (size_t i = 0; i < 6; ++i) CHECK(sample.x[i] == doctest::Approx((97.0 + static_cast<double>(i)) / 255));
  CHECK(test.sample(0).label() == 0);
}

TEST_CASE("EMNIST: digits begin with 0 already") {
  const TempFolder folder;
  write_emnist(folder.path().string(), "digits", {0, 9, 1, 0, 9, 1, 0, 9, 1, 0});
  DataOptions options;
  options.data = folder.path().string();
  const Dataset test = load_data(options).split.test;
  CHECK(test.classes == 10);
  CHECK(test.sample(1).label() == 9);
}
