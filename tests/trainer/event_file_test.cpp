// TensorBoard's event files: framing against published values, and what a resumed run makes of them.
#include "trainer/event_file.h"

#include <doctest/doctest.h>

#include "../temp_folder.h"

using namespace ballast;
using namespace ballast::app;

TEST_CASE("event file: CRC-32C and masked CRC are the published ones") {
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720, appendix B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(crc32c("123456789") ==
        0xe3069283);  // the check value of the catalogue of parametrised CRC algorithms
  // Every event file begins like this: a record of 24 bytes.
  CHECK(framed(std::string(24, 'x')).substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
}

TEST_CASE("event file: whole records come back, a cut one is left out, a changed one is an error") {
  const std::string first = framed("abc"), second = framed("");
  CHECK(unframed(first + second, "x") == std::vector<std::string_view>{"abc", ""});
  for (size_t size = 0; size < second.size(); ++size)
    CHECK(unframed(first + second.substr(0, size), "x").size() == 1);
  for (size_t i = 0; i < first.size(); ++i) {
    CAPTURE(i);
    std::string changed = first + second;
    changed[i] ^= 1;
    CHECK_THROWS_AS(unframed(changed, "x"), FileError);
  }
}

TEST_CASE("event file: a resumed run goes on after its step, and says nothing twice") {
  const TempFolder folder;
  const std::string path = folder / "events.out.tfevents.test";
  {
    EventFile file(path, 0);
    file.scalar("loss", 1, 0.5);
    file.scalar("loss", 2, 0.25);
    file.scalar("epoch", 2, 1);
    file.scalar("loss", 3, 0.125);  // lost: the last save was at step 2
    file.scalar("loss", 4, 0.125);  // and cut
  }
  std::string cut = read_all(path);
  cut.resize(cut.size() - 3);
  write_bytes(path, cut);
  EventFile file(path, 2);
  CHECK(unframed(read_all(path), path).size() == 4);  // the version, and three events
  file.scalar("epoch", 2, 1);
  CHECK(unframed(read_all(path), path).size() == 4);
  file.scalar("accuracy", 2, 0.5);
  file.scalar("loss", 3, 0.125);
  CHECK(unframed(read_all(path), path).size() == 6);
  file.histogram("w", 3, {.least = -1, .largest = 1, .count = 3, .bins = {1, 2}});
  file.image("x", 3, {.channels = 1, .rows = 1, .cols = 2, .pixels = {0, 255}});
  CHECK(unframed(read_all(path), path).size() == 8);
  EventFile(path, 0);  // a run from its beginning
  CHECK(unframed(read_all(path), path).size() == 1);
  write_bytes(path, framed("\xff\xff"));
  CHECK_THROWS_AS(EventFile(path, 1), FileError);
}
