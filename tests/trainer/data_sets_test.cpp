// Fetching data sets. tests/fetch_test.sh runs this again with a server on the loopback, whose address is
// BALLAST_MIRROR and whose folder is BALLAST_SERVED; without them files are fetched by file:// addresses.
#include "trainer/data_sets.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include <ballast/core/check.h>

#include "../temp_folder.h"
#include "../thrown.h"

using namespace ballast;
using namespace ballast::app;
namespace fs = std::filesystem;

namespace {

// 2000 times "0123456789", whose SHA-256 is by coreutils.
std::string content() {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "0123456789";
  return text;
}
const char* const sha256 = "370e71541036b862ee4e7b985e292366250c586b00bc0f2eb98f880677bafc3c";

struct Server {
  TempFolder own;
  std::string folder = std::getenv("BALLAST_SERVED") ? std::getenv("BALLAST_SERVED") : own / "";
  std::string mirror = std::getenv("BALLAST_MIRROR") ? std::getenv("BALLAST_MIRROR") : "file://" + folder;
};

}  // namespace

TEST_CASE("fetch: a file comes whole, is gone on with, and is left alone once it is there") {
  const Server server;
  const TempFolder folder;
  write_bytes(server.folder + "/digits.txt", content());
  fs::create_directory(folder / "to");
  const RemoteDataSet set{{server.mirror}, {{"digits.txt", sha256}}};
  SUBCASE("from its beginning") {}
  SUBCASE("from the middle") { write_bytes(folder / "to/digits.txt.part", content().substr(0, 12'345)); }
  SUBCASE("whole, but not renamed") { write_bytes(folder / "to/digits.txt.part", content()); }
  SUBCASE("from a mirror after one that doesn't have it") {
    const RemoteDataSet two{{server.mirror + "/none", server.mirror}, {{"digits.txt", sha256}}};
    fetch(two, "", folder / "to");
  }
  fetch(set, "", folder / "to");
  CHECK(read_all(folder / "to/digits.txt") == content());
  CHECK_FALSE(fs::exists(folder / "to/digits.txt.part"));
  CHECK_FALSE(fs::exists(folder / "to/digits.txt.part.sha256"));
  fs::remove(server.folder + "/digits.txt");
  fetch(set, "", folder / "to");  // asks for nothing
}

TEST_CASE("fetch: what has another checksum isn't taken, and the error says from where it came") {
  const Server server;
  const TempFolder folder;
  write_bytes(server.folder + "/digits.txt", content() + "more");
  const RemoteDataSet set{{"file:///none"}, {{"digits.txt", sha256}}};
  const std::string message = thrown<ValueError>([&] { fetch(set, server.mirror, folder / "to"); });
  CHECK(message.find(server.mirror) == 0);
  CHECK(message.find("another SHA-256") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "to/digits.txt"));
  CHECK_FALSE(fs::exists(folder / "to/digits.txt.part"));
  write_bytes(folder / "to/digits.txt", "mine");
  CHECK_THROWS_AS(fetch(set, server.mirror, folder / "to"), ValueError);
  CHECK(read_all(folder / "to/digits.txt") == "mine");
}

TEST_CASE("fetch: archives are unpacked without their outermost folder") {
  const Server server;
  const TempFolder folder;
  fs::create_directories(folder / "pack/inner");
  write_bytes(folder / "pack/inner/a.bin", "a");
  REQUIRE(std::system(("tar -czf " + server.folder + "/pack.tar.gz -C " + folder / "pack" +
                       " inner && sha256sum " + server.folder + "/pack.tar.gz > " + folder / "sum")
                          .c_str()) == 0);
  fetch({{server.mirror}, {{"pack.tar.gz", read_all(folder / "sum").substr(0, 64)}}}, "", folder / "to");
  CHECK(read_all(folder / "to/a.bin") == "a");
}
