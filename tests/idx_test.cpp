#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include <ballast/data/idx.h>

#include "malformed.h"

using namespace ballast;

namespace {

const auto word = big_endian;

std::string images(uint32_t count, uint32_t rows, uint32_t cols, const std::string& data) {
  return word(0x803) + word(count) + word(rows) + word(cols) + data;
}

std::string labels(uint32_t count, const std::string& data) { return word(0x801) + word(count) + data; }

/// A gzip member that holds `data`.
std::string gzip(const std::string& data) { return deflated(16 + MAX_WBITS, data); }

std::string flip(std::string bytes, size_t from_end) {
  bytes[bytes.size() - from_end] ^= 1;
  return bytes;
}

const std::string six = "abcdef";
const std::string good_sizes = word(2) + word(3);

struct Case {
  const char* id;
  const char* code;
  const char* file;
  std::string bytes;
  bool as_labels = false;
};

/// One row per case of the rules for malformed files, and a few of their relatives.
std::vector<Case> corpus() {
  const std::string good = images(1, 2, 3, six), zipped = gzip(good);
  std::string noise;  // incompressible, so that a cut falls into the data
  for (uint32_t n = 0, state = 1; n < 6000; ++n)
    noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const std::string zipped_noise = gzip(images(1000, 2, 3, noise));
  return {
      {"I1", "TRUNC", "images", ""},
      {"I1 gzip", "TRUNC", "images.gz", ""},
      {"I1 nothing in gzip", "TRUNC", "images.gz", gzip("")},
      {"I2", "TRUNC", "images", good.substr(0, 9)},
      {"I2 gzip", "TRUNC", "images.gz", gzip(good.substr(0, 9))},
      {"I3", "TRUNC", "images", good.substr(0, good.size() - 1)},
      {"I3 gzip", "TRUNC", "images.gz", gzip(good.substr(0, good.size() - 1))},
      {"I4", "TRUNC", "labels", labels(6, "abcde"), true},
      {"I5", "TRUNC", "images.gz", zipped_noise.substr(0, zipped_noise.size() / 2)},
      {"I5 in the trailer", "TRUNC", "images.gz", zipped.substr(0, zipped.size() - 1)},
      {"I5 in the header", "TRUNC", "images.gz", zipped.substr(0, 5)},
      {"I6", "MAGIC", "images", labels(6, six)},
      {"I6 reversed", "MAGIC", "labels", good, true},
      {"I7", "MAGIC", "images", std::string("\3\10\0\0", 4) + good.substr(4)},
      {"I8", "MAGIC", "images", word(0x0d03) + good.substr(4)},
      {"I8 no such type", "MAGIC", "images", word(0x0a03) + good.substr(4)},
      {"I8 text", "MAGIC", "images", "P5 28 28 255"},
      {"I9", "MAGIC", "images.gz", "\x1f\x8a" + zipped.substr(2)},
      {"I9 gzip in gzip", "MAGIC", "images.gz", gzip(zipped)},
      {"I10", "OVERFLOW", "images", images(1, 65536, 65536, six)},
      {"I10 three times", "OVERFLOW", "images", images(65536, 65536, 65536, six)},
      {"I10 beyond 64 bits", "OVERFLOW", "images", images(1u << 31, 1u << 31, 4, six)},
      {"I10 gzip", "OVERFLOW", "images.gz", gzip(images(1, 65536, 65536, six))},
      {"I11", "OVERFLOW", "labels", labels(0x7fffffff, "a"), true},
      {"I11 gzip", "OVERFLOW", "labels.gz", gzip(labels(0x7fffffff, "a")), true},
      {"I12", "DIM", "images", images(1, 0, 3, "")},
      {"I12 no images", "DIM", "images", images(0, 2, 3, "")},
      {"I12 no labels", "DIM", "labels", labels(0, ""), true},
      {"I13", "TRAIL", "images", good + "x"},
      {"I14", "TRAIL", "images.gz", zipped + "x"},
      {"I14 another member", "TRAIL", "images.gz", zipped + zipped},
      {"I15 CRC", "CRC", "images.gz", flip(zipped, 8)},
      {"I15 ISIZE", "CRC", "images.gz", flip(zipped, 4)},
      {"I15 the data", "CRC", "images.gz", flip(zipped_noise, zipped_noise.size() / 2)},
      {"I16", "BOMB", "images.gz", gzip(images(1, 2, 3, std::string(100 << 20, '\0')))},
      {"I16 by one byte", "BOMB", "images.gz", gzip(good + "x")},
  };
}

}  // namespace

TEST_CASE("idx: malformed files are refused, each for its reason") {
  const TempFolder folder;
  for (const Case& c : corpus()) {
    INFO(c.id);
    leave_for_program(c.as_labels ? "idx_labels" : "idx_images", c.bytes);
    const std::string path = write(folder, c.file, c.bytes);
    const std::string message =
        refusal(c.code, [&] { c.as_labels ? (void)read_idx_labels(path) : (void)read_idx_images(path); });
    INFO(message);
    CHECK(message.starts_with(path + ": "));
    CHECK(message.find(" at byte ") != std::string::npos);
  }
}

TEST_CASE("idx: messages say what to do") {
  const TempFolder folder;
  const std::string path = write(folder, "images", labels(6, six));
  CHECK(refusal("MAGIC", [&] { read_idx_images(path); }) ==
        path +
            ": IDX data of type unsigned byte and 1 axis, where images (unsigned byte, 3 axes, with "
            "channels 4) were expected; the first word is 0x00000801 at byte 0");
  write(folder, "images", word(0x0d02) + good_sizes + six);
  CHECK(refusal("MAGIC", [&] { read_idx_labels(path); }).find("type float32 and 2 axes, where labels") !=
        std::string::npos);
  write(folder, "images", images(1, 2, 3, "abcde"));
  CHECK(refusal("TRUNC", [&] { read_idx_images(path); }) ==
        path +
            ": the header implies 1 x 2 x 3 = 6 bytes of data, the file can hold 5; the data begin at "
            "byte 16");
}

TEST_CASE("idx: what was saved in place of the file is called by its name") {
  const TempFolder folder;
  const auto refused = [&](const std::string& bytes) {
    const std::string path = write(folder, "train-images-idx3-ubyte.gz", bytes);
    return refusal("MAGIC", [&] { read_idx_images(path); }).substr((path + ": ").size());
  };
  for (const char* page : {"<!DOCTYPE html><html>", "\xef\xbb\xbf\r\n <html>", "<?xml version='1.0'?>"})
    CHECK(refused(page) ==
          "this is a web page, as a server sends it in place of a file that it doesn't have; download the "
          "file again");
  CHECK(refused("version https://git-lfs.github.com/spec/v1\n").find("git lfs pull") != std::string::npos);
  CHECK(refused("PK\3\4 ...").find("unpack") != std::string::npos);
  CHECK(refused("BZh9").find("bunzip2") != std::string::npos);
  CHECK(refused("\xfd"
                "7zXZ")
            .find("unxz") != std::string::npos);
}

TEST_CASE("idx: a file is read by its content, packed or not, whatever its name") {
  const TempFolder folder;
  const std::string bytes = images(1, 2, 3, six);
  CHECK(read_idx_images(write(folder, "unpacked.gz", bytes)).count == 1);
  CHECK(read_idx_images(write(folder, "packed", gzip(bytes))).count == 1);
}

TEST_CASE("idx: labels of one column, and the classes of QMNIST's labels") {
  const TempFolder folder;
  CHECK(read_idx_labels(write(folder, "y", word(0x802) + word(3) + word(1) + "abc")) ==
        std::vector<uint8_t>{'a', 'b', 'c'});
  CHECK(read_idx_labels(write(folder, "y", word(0x0c01) + word(2) + word(0) + word(255))) ==
        std::vector<uint8_t>{0, 255});
  std::string rows;
  for (uint32_t n = 0; n < 3; ++n) {
    rows += word(n + 7);
    for (uint32_t column = 1; column < 8; ++column) rows += word(1000 * column);
  }
  const std::string qmnist = word(0x0c02) + word(3) + word(8) + rows;
  CHECK(read_idx_labels(write(folder, "y", qmnist)) == std::vector<uint8_t>{7, 8, 9});
  const std::string path = write(folder, "y", qmnist.substr(0, qmnist.size() - 1));
  CHECK(refusal("TRUNC", [&] { read_idx_labels(path); }).find("3 x 8 x 4 bytes = 96 bytes") !=
        std::string::npos);
  write(folder, "y", word(0x802) + word(3) + word(2) + six);
  CHECK(refusal("SHAPE", [&] { read_idx_labels(path); }).find("3 x 2 unsigned bytes, where one label") !=
        std::string::npos);
  for (const auto& [stored, shown] : {std::pair(256u, "256"), std::pair(~0u, "-1")}) {
    write(folder, "y", word(0x0c01) + word(2) + word(1) + word(stored));
    CHECK(refusal("LABEL", [&] { read_idx_labels(path); }).find(std::string("label 1 is ") + shown) !=
          std::string::npos);
  }
}

TEST_CASE("idx: images with channels in front or behind") {
  const TempFolder folder;
  const auto read = [&](const std::vector<uint32_t>& sizes, const std::string& data) {
    std::string bytes = word(0x804);
    for (const uint32_t size : sizes) bytes += word(size);
    return read_idx_images(write(folder, "x", bytes + data));
  };
  const auto shape = [](const IdxImages& x) {
    return std::vector<int64_t>{x.count, x.channels, x.rows, x.cols};
  };
  const auto pixels = [](const IdxImages& x) { return std::string(x.pixels.begin(), x.pixels.end()); };
  const std::string twelve = "abcdefghijkl";
  const IdxImages in_front = read({2, 3, 1, 2}, twelve);
  CHECK(shape(in_front) == std::vector<int64_t>{2, 3, 1, 2});
  CHECK(pixels(in_front) == twelve);
  const std::string thirty = "abcdefghijklmnopqrstuvwxyz0123";
  const IdxImages behind = read({1, 5, 2, 3}, thirty);
  CHECK(shape(behind) == std::vector<int64_t>{1, 3, 5, 2});
  CHECK(pixels(behind) == "adgjmpsvy1behknqtwz2cfilorux03");
  const IdxImages two = read({2, 5, 1, 3}, thirty);
  CHECK(pixels(two) == "adgjmbehkncfilopsvy1qtwz2rux03");
  CHECK(refusal("SHAPE", [&] {
          read({2, 5, 1, 5}, std::string(50, 'x'));
        }).find("images of 5 x 1 x 5: neither") != std::string::npos);
}

TEST_CASE("idx: a bomb costs no memory, and a header that lies costs none either") {
  const TempFolder folder;
  const std::string bomb = write(folder, "bomb.gz", gzip(images(1, 2, 3, std::string(100 << 20, '\0'))));
  // Implies 100 MB, which a file of this size could hold, but its data stop after one.
  std::string lie = gzip(images(1, 10000, 10000, std::string(1 << 20, '\0')));
  lie += std::string(100000, '\0');
  const std::string liar = write(folder, "liar.gz", lie);
  CHECK(peak_mib([&] {
          refusal("BOMB", [&] { read_idx_images(bomb); });
          refusal("TRAIL", [&] { read_idx_images(liar); });
        }) < 32);
}

TEST_CASE("idx: reads what it should, plain and compressed") {
  const TempFolder folder;
  for (const bool compressed : {false, true}) {
    const std::string suffix = compressed ? ".gz" : "";
    const auto save = [&](const std::string& name, const std::string& bytes) {
      return write(folder, name + suffix, compressed ? gzip(bytes) : bytes);
    };
    const IdxImages read = read_idx_images(save("images", images(3, 1, 2, six)));
    CHECK(read.count == 3);
    CHECK(read.rows == 1);
    CHECK(read.cols == 2);
    CHECK(std::string(read.pixels.begin(), read.pixels.end()) == six);
    const std::vector<uint8_t> values = read_idx_labels(save("labels", labels(6, six)));
    CHECK(std::string(values.begin(), values.end()) == six);
    // Larger than the buffers.
    std::string large;
    for (int64_t n = 0; n < 300000; ++n) large += static_cast<char>(n * n >> 7);
    const std::vector<uint8_t> again = read_idx_labels(save("large", labels(300000, large)));
    CHECK(std::string(again.begin(), again.end()) == large);
  }
}

TEST_CASE("idx: images and labels must be as many (I17)") {
  const TempFolder folder;
  const std::string x = write(folder, "images", images(3, 1, 2, six)),
                    y = write(folder, "labels", labels(2, "ab"));
  const std::string message = refusal("COUNT", [&] { read_idx_pair(x, y); });
  CHECK(message == y + ": 2 labels for the 3 images of " + x);
  write(folder, "labels", labels(4, "abcd"));
  CHECK(refusal("COUNT", [&] { read_idx_pair(x, y); }).find("4 labels for the 3 images") !=
        std::string::npos);
  write(folder, "labels", labels(3, "abc"));
  CHECK(read_idx_pair(x, y).labels.size() == 3);
}

TEST_CASE("idx: each part is the one file whose name ends in the usual way") {
  const TempFolder folder;
  const std::string path = folder.path().string();
  write(folder, "emnist-digits-train-images-idx3-ubyte.gz", gzip(images(3, 1, 2, six)));
  write(folder, "qmnist-train-labels-idx2-int",
        word(0x0c02) + word(3) + word(1) + word(1) + word(2) + word(3));
  write(folder, "test-images-idx4-ubyte", word(0x804) + word(2) + word(1) + word(1) + word(2) + "abcd");
  write(folder, "x_test-labels.idx1-ubyte", labels(2, "xy"));
  write(folder, "atrain-labels-idx1-ubyte", "not separated from its prefix");
  write(folder, "train-labels-idx1-ubyte.bak", "goes on behind the ending");
  std::filesystem::create_directory(folder / "train-labels-idx1-ubyte");
  const MnistFiles files = read_mnist(path);
  CHECK(files.train.labels == std::vector<uint8_t>{1, 2, 3});
  CHECK(files.test.labels == std::vector<uint8_t>{'x', 'y'});
  CHECK(files.test.images.pixels == std::vector<uint8_t>{'a', 'b', 'c', 'd'});

  // Packed and unpacked is one file, of which the unpacked one is read.
  write(folder, "emnist-digits-train-images-idx3-ubyte", images(3, 1, 2, "ABCDEF"));
  CHECK(read_mnist(path).train.images.pixels.front() == 'A');

  write(folder, "t10k-images.idx3-ubyte", images(2, 1, 2, "abcd"));
  CHECK(refusal("NAME", [&] { read_mnist(path); }) ==
        path +
            ": t10k-images.idx3-ubyte, test-images-idx4-ubyte could all be t10k-images-idx3-ubyte; "
            "leave one of them in this folder");
}

TEST_CASE("idx: what isn't a file") {
  const TempFolder folder;
  const auto refuse = [&](const std::string& path) {
    CHECK(refusal("MISSING", [&] { read_idx_images(path); }).starts_with(path + ": "));
  };
  refuse(folder / "nothing");
  refuse(folder / "nothing.gz");
  refuse(folder.path().string());
}

TEST_CASE("idx: MNIST's four files are found by their names") {
  const TempFolder folder;
  const std::string path = folder.path().string();
  const std::string no_folder = refusal("MISSING", [&] { read_mnist(path + "/nowhere"); });
  CHECK(no_folder.starts_with(
      path + "/nowhere: there is no such folder; looked for names that end in train-images-idx3-ubyte"));
  CHECK(refusal("MISSING", [&] { read_mnist(path); }).find("no train-images in this folder") !=
        std::string::npos);

  write(folder, "train-images-idx3-ubyte", images(3, 1, 2, six));
  CHECK(refusal("MISSING", [&] { read_mnist(path); }).find("no train-labels in this folder") !=
        std::string::npos);
  write(folder, "train-labels.idx1-ubyte", labels(3, "abc"));
  write(folder, "t10k-images.idx3-ubyte.gz", gzip(images(2, 1, 2, "abcd")));
  write(folder, "t10k-labels-idx1-ubyte.gz", gzip(labels(2, "xy")));
  const MnistFiles files = read_mnist(path);
  CHECK(files.train.images.count == 3);
  CHECK(files.train.labels == std::vector<uint8_t>{'a', 'b', 'c'});
  CHECK(files.test.images.pixels == std::vector<uint8_t>{'a', 'b', 'c', 'd'});
  CHECK(files.test.labels == std::vector<uint8_t>{'x', 'y'});

  for (const std::string& other : {images(2, 2, 2, "abcdefgh"), images(2, 1, 1, "ab")}) {
    write(folder, "t10k-images.idx3-ubyte.gz", gzip(other));
    CHECK(refusal("SHAPE", [&] { read_mnist(path); }).starts_with(path + ": "));
  }
}
