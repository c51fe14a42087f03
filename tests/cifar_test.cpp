#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ballast/data/cifar.h>

#include "malformed.h"

using namespace ballast;
using namespace std::string_literals;

namespace {

constexpr size_t pixels = 3072;

/// A record of CIFAR-10 whose planes are filled with its label + 1, + 2 and + 3.
std::string record(int label) {
  std::string bytes(1, static_cast<char>(label));
  for (int c = 1; c <= 3; ++c) bytes += std::string(1024, static_cast<char>(label + c));
  return bytes;
}

/// One of CIFAR-100.
std::string fine_record(int coarse, int fine) { return static_cast<char>(coarse) + record(fine); }

struct Case {
  std::string id, code, bytes;
  int classes = 10;
};

}  // namespace

TEST_CASE("cifar: malformed files are refused, each for its reason") {
  const std::string good = record(3) + record(9);
  const TempFolder folder;
  for (const Case& c : std::vector<Case>{
           {"C1", "TRUNC", ""},
           {"C1 of 100 classes", "TRUNC", "", 100},
           {"C2", "TRUNC", good.substr(0, 3072)},
           {"C2 of 100 classes", "TRUNC", record(1), 100},
           {"C2 a label alone", "TRUNC", "\1"},
           {"C3", "LABEL", record(3) + record(11)},
           {"C3 by one", "LABEL", record(10)},
           {"C3 255", "LABEL", record(255)},
           {"C3 of 100 classes", "LABEL", fine_record(0, 100), 100},
           {"size, one byte more", "SIZE", good + "x"},
           {"size, one byte less", "SIZE", good.substr(0, good.size() - 1)},
           {"size, of 100 classes", "SIZE", fine_record(0, 1) + record(1), 100},
           {"size, CIFAR-100 as CIFAR-10", "SIZE", fine_record(0, 1) + fine_record(0, 2)},
           {"gzip", "MAGIC", "\x1f\x8b\x08"s + good},
           {"a web page", "MAGIC", "<!DOCTYPE html>"},
       }) {
    INFO(c.id);
    leave_for_program(c.classes == 10 ? "cifar10" : "cifar100", c.bytes);
    const std::string path = write(folder, "x.bin", c.bytes);
    CHECK(refusal(c.code, [&] { read_cifar_file(path, c.classes); }).starts_with(path + ": "));
  }
  CHECK(refusal("LABEL", [&] {
          read_cifar_file(write(folder, "x.bin", record(3) + record(11)), 10);
        }).ends_with("label 11 in record 1; classes are 0 to 9"));
  refusal("MISSING", [&] { read_cifar_file(folder / "nothing", 10); });
  CHECK_THROWS_AS(read_cifar_file(folder / "x.bin", 20), ValueError);
}

TEST_CASE("cifar: CIFAR-10 from its folder") {
  const TempFolder folder;
  const std::string path = folder.path().string();
  for (int batch = 1; batch <= 5; ++batch) {
    refusal("MISSING", [&] { read_cifar(path); });
    write(folder, "data_batch_" + std::to_string(batch) + ".bin", record(batch) + record(batch + 1));
  }
  refusal("MISSING", [&] { read_cifar(path); });
  write(folder, "test_batch.bin", record(0));
  CHECK(read_cifar(path).classes.empty());
  write(folder, "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  const CifarFiles files = read_cifar(path);
  CHECK(files.train.labels == std::vector<uint8_t>{1, 2, 2, 3, 3, 4, 4, 5, 5, 6});
  CHECK(files.train.images.count == 10);
  CHECK(files.train.images.channels == 3);
  CHECK(files.train.images.rows == 32);
  CHECK(files.train.images.cols == 32);
  REQUIRE(files.train.images.pixels.size() == 10 * pixels);
  CHECK(files.train.images.pixels[9 * pixels] == 7);
  CHECK(files.train.images.pixels[10 * pixels - 1] == 9);
  CHECK(files.test.labels == std::vector<uint8_t>{0});
  CHECK(files.classes.size() == 10);
  CHECK(files.classes[9] == "j");
  write(folder, "batches.meta.txt", "a\nb\n");
  CHECK(refusal("COUNT", [&] { read_cifar(path); }).find("2 names") != std::string::npos);
}

TEST_CASE("cifar: CIFAR-100 from its folder, with the fine labels") {
  const TempFolder folder;
  write(folder, "train.bin", fine_record(4, 99) + fine_record(7, 0));
  write(folder, "test.bin", fine_record(1, 50));
  std::string names;
  for (int i = 0; i < 100; ++i) names += "class " + std::to_string(i) + "\r\n";
  write(folder, "fine_label_names.txt", names);
  const CifarFiles files = read_cifar(folder.path().string());
  CHECK(files.train.labels == std::vector<uint8_t>{99, 0});
  CHECK(files.train.images.pixels[pixels] == 1);
  CHECK(files.test.labels == std::vector<uint8_t>{50});
  CHECK(files.classes[99] == "class 99");
}
