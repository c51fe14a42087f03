#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include <ballast/data/image.h>

#include "malformed.h"

using namespace ballast;
using namespace std::string_literals;

namespace {

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(body.data()),
                         static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(static_cast<uint32_t>(crc));
}

std::string packed(const std::string& data) {
  uLongf size = compressBound(data.size());
  std::string out(size, '\0');
  REQUIRE(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()),
                    data.size(), 9) == Z_OK);
  out.resize(size);
  return out;
}

const std::string signature = "\x89PNG\r\n\x1a\n", end_chunk = chunk("IEND", "");

enum Color : char { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 };

std::string header(uint32_t cols, uint32_t rows, int depth, Color color, int interlace = 0) {
  return chunk("IHDR", big_endian(cols) + big_endian(rows) + static_cast<char>(depth) +
                           static_cast<char>(color) + std::string(2, '\0') + static_cast<char>(interlace));
}

/// `rows` of raw bytes, which get the filter "none" in front.
std::string png(const std::string& header_chunk, const std::vector<std::string>& rows,
                const std::string& before_data = "") {
  std::string raw;
  for (const std::string& row : rows) raw += '\0' + row;
  return signature + header_chunk + before_data + chunk("IDAT", packed(raw)) + end_chunk;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// Written by Pillow 13: an image of 5 rows and 9 columns whose pixel is 12 row + 9 column + 60 channel.
const std::string rgb_jpeg = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706"
    "080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb004301030404050405"
    "09050509140d0b0d141414141414141414141414141414141414141414141414141414141414141414141414141414141414"
    "1414141414141414ffc00011080005000903012200021101031101ffc4001600010101000000000000000000000000000006"
    "07ffc4001c10000103050000000000000000000000000005075117212342a2ffc40014010100000000000000000000000000"
    "000007ffc40014110100000000000000000000000000000000ffda000c03010002110311003f00986b5bd4dc368d4db29ea6"
    "c7200d6227ffd9");
const std::string grey_jpeg = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706"
    "080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc0000b08000500090101"
    "1100ffc4001500010100000000000000000000000000000607ffc4001c100001030500000000000000000000000000050751"
    "17212342a2ffda0008010100003f0030d6b7a9b86d1a96ca7a9b1c9fffd9");
const std::string progressive_jpeg = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706"
    "080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb004301030404050405"
    "09050509140d0b0d141414141414141414141414141414141414141414141414141414141414141414141414141414141414"
    "1414141414141414ffc20011080005000903012200021101031101ffc4001600010101000000000000000000000000000005"
    "06ffc40014010100000000000000000000000000000006ffda000c0301000210031000000197b61a90ffc400171000030100"
    "00000000000000000000000000030515ffda0008010100010502973d667acfffc40014110100000000000000000000000000"
    "000000ffda0008010301013f017fffc40014110100000000000000000000000000000000ffda0008010201013f017fffc400"
    "1510010100000000000000000000000000000110ffda0008010100063f0227ffc40017100100030000000000000000000000"
    "00000011f0f1ffda0008010100013f21cf5e1fffda000c03010002000300000010ff00ffc400141101000000000000000000"
    "00000000000000ffda0008010301013f107fffc40014110100000000000000000000000000000000ffda0008010201013f10"
    "7fffc40017100100030000000000000000000000000000415161ffda0008010100013f1080a303ffd9");
const std::string cmyk_jpeg = from_hex(
    "ffd8ffee000e41646f626500640000000000ffdb0043000302020302020303030304030304050805050404050a070706080c"
    "0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc00014080005000904431100"
    "4d11005911004b1100ffc4001800000203000000000000000000000000000708000409ffc4001c1000010305000000000000"
    "0000000000000005075117212342a2ffda000e0443004d0059004b00003f00559ad6f5370da352b35adea6e1b46a32ed6b7a"
    "9b86d1a9aa61b29ea6c721b29ea6c721b29ea6c7243fffd9");

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
Image decode(const std::string& bytes) { return decode_image(bytes_of(bytes), "x"); }
std::vector<int> values(const Image& image) { return {image.pixels.begin(), image.pixels.end()}; }
std::vector<int64_t> shape(const Image& image) { return {image.channels, image.rows, image.cols}; }

/// The start of frame of a JPEG with another size in it.
std::string with_size(std::string jpeg, int rows, int cols) {
  const size_t at = std::min(jpeg.find("\xff\xc0"), jpeg.find("\xff\xc2"));
  jpeg[at + 5] = static_cast<char>(rows >> 8), jpeg[at + 6] = static_cast<char>(rows);
  jpeg[at + 7] = static_cast<char>(cols >> 8), jpeg[at + 8] = static_cast<char>(cols);
  return jpeg;
}

/// With an APP1 segment of EXIF data that hold an orientation behind another entry.
std::string with_orientation(const std::string& jpeg, char orientation, bool little) {
  const std::string exif =
      little ? "Exif\0\0II*\0\x08\0\0\0\x02\0\x0f\1\x02\0\4\0\0\0abc\0\x12\1\3\0\1\0\0\0"s + orientation +
                   "\0\0\0"s
             : "Exif\0\0MM\0*\0\0\0\x08\0\x02\1\x0f\0\x02\0\0\0\4abc\0\1\x12\0\3\0\0\0\1\0"s + orientation +
                   "\0\0"s;
  const auto size = static_cast<char>(exif.size() + 2);
  return jpeg.substr(0, 2) + "\xff\xe1\0"s + size + exif + jpeg.substr(2);
}

/// A progressive JPEG whose first scan comes 200 times.
std::string many_scans() {
  const size_t begin = progressive_jpeg.find("\xff\xda"), end = progressive_jpeg.find("\xff\xc4", begin);
  std::string bytes = progressive_jpeg.substr(0, end);
  for (int i = 1; i < 200; ++i) bytes += progressive_jpeg.substr(begin, end - begin);
  return bytes + progressive_jpeg.substr(end);
}

struct Case {
  std::string id;
  const char* code;
  std::string bytes;
};

std::vector<Case> corpus() {
  const std::string small = header(2, 2, 8, grey), good = png(small, {"ab", "cd"});
  const std::string zeros(100 << 20, '\0'), bomb = packed(zeros), nul(1, '\0');
  std::string noise;
  for (uint32_t n = 0, state = 1; n < 10000; ++n)
    noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const std::string large =
      png(header(100, 100, 8, grey), std::vector<std::string>(100, noise.substr(0, 100)));
  const auto flipped = [](std::string bytes, size_t at) {
    bytes[at] ^= 1;
    return bytes;
  };
  const auto replaced = [](std::string bytes, const std::string& from, const std::string& to) {
    return bytes.replace(bytes.find(from), from.size(), to);
  };
  const size_t data = good.find("IDAT");
  return {
      {"P1 a GIF", "MAGIC", "GIF89a...."},
      {"P1 a WebP", "MAGIC", "RIFF....WEBPVP8 "},
      {"P1 text", "MAGIC", "not an image"},
      {"P1 a PNG sent as text", "MAGIC", replaced(good, "\r\n", "\n")},
      {"P1 gzip", "MAGIC", "\x1f\x8b\x08 packed"},
      {"P1 a web page", "MAGIC", "<html>404"},
      {"P2 nothing", "TRUNC", ""},
      {"P2 three bytes", "TRUNC", good.substr(0, 3)},
      {"P2 the signature", "TRUNC", good.substr(0, 6)},
      {"P2 no chunk", "TRUNC", signature},
      {"P2 in IHDR", "TRUNC", good.substr(0, 20)},
      {"P2 in IDAT", "TRUNC", good.substr(0, data + 6)},
      {"P2 half of IDAT", "TRUNC", large.substr(0, large.size() / 2)},
      {"P2 too few pixels", "TRUNC", png(small, {"ab"})},
      {"P2 too few of an interlaced image", "TRUNC", png(header(2, 2, 8, grey, 1), {"a"})},
      {"P2 no pixels", "TRUNC", signature + small + end_chunk},
      {"P2 a length of 2^31", "TRUNC", signature + big_endian(1u << 31) + "IHDR" + noise},
      {"P2 more pixels than deflate can pack", "TRUNC", png(header(16384, 16384, 8, grey), {"ab"})},
      {"P3", "TRUNC", good.substr(0, good.size() - 12)},
      {"P3 in IEND", "TRUNC", good.substr(0, good.size() - 1)},
      {"P4 of IDAT", "CRC", flipped(good, data + 6)},
      {"P4 of IHDR", "CRC", flipped(good, 19)},
      {"P4 of IEND", "CRC", flipped(good, good.size() - 1)},
      {"P4 of text", "CRC", png(small, {"ab", "cd"}, flipped(chunk("tEXt", "a" + nul + "b"), 10))},
      {"P5", "DIM", png(header(0, 2, 8, grey), {"", ""})},
      {"P5 height", "DIM", png(header(2, 0, 8, grey), {})},
      {"P6", "LIMIT", png(header(1000000, 1000000, 8, rgb), {"ab"})},
      {"P6 by one", "LIMIT", png(header(16385, 1, 8, grey), {std::string(16385, 'a')})},
      {"P6 2^32 - 1", "LIMIT", png(header(~0u, ~0u, 16, rgb_alpha), {"ab"})},
      {"P7", "LIMIT", png(small, {"ab", "cd"}, chunk("zTXt", "a" + nul + nul + bomb))},
      {"P7 iTXt", "LIMIT",
       png(small, {"ab", "cd"}, chunk("iTXt", "a" + nul + "\1" + nul + "en" + nul + "A" + nul + bomb))},
      {"P7 iCCP", "LIMIT", png(small, {"ab", "cd"}, chunk("iCCP", "a" + nul + nul + bomb))},
      {"P7 in the sum", "LIMIT",
       [&] {
         const std::string part = chunk("zTXt", "a" + nul + nul + packed(zeros.substr(0, 30 << 20)));
         return png(small, {"ab", "cd"}, part + part + part);
       }()},
      {"PNG without IHDR", "DATA", signature + chunk("IDAT", packed("\0ab"s)) + end_chunk},
      {"PNG of color type 5", "DATA", png(header(2, 2, 8, static_cast<Color>(5)), {"ab", "cd"})},
      {"PNG of 255 bits", "DATA", png(header(2, 2, 255, grey), {"ab", "cd"})},
      {"PNG of 3 bits", "DATA", png(header(2, 2, 3, grey), {"a", "b"})},
      {"PNG of 4-bit RGB", "DATA", png(header(2, 2, 4, rgb), {"abc", "def"})},
      {"PNG of interlacing 2", "DATA", png(header(2, 2, 8, grey, 2), {"ab", "cd"})},
      {"PNG without its palette", "DATA", png(header(2, 2, 8, palette), {"ab", "cd"})},
      {"PNG of filter 7", "DATA", signature + small + chunk("IDAT", packed("\7ab\7cd")) + end_chunk},
      {"PNG of no zlib data", "DATA", signature + small + chunk("IDAT", noise) + end_chunk},
      {"JPEG of two bytes", "TRUNC", rgb_jpeg.substr(0, 2)},
      {"JPEG cut in the header", "TRUNC", rgb_jpeg.substr(0, 100)},
      {"JPEG cut in the pixels", "TRUNC", rgb_jpeg.substr(0, rgb_jpeg.size() - 10)},
      {"JPEG without end", "TRUNC", rgb_jpeg.substr(0, rgb_jpeg.size() - 2)},
      {"JPEG cut, progressive", "TRUNC", progressive_jpeg.substr(0, progressive_jpeg.size() / 2 + 100)},
      {"JPEG without pixels", "DATA", rgb_jpeg.substr(0, rgb_jpeg.find("\xff\xda")) + "\xff\xd9"},
      {"JPEG of 16384 x 16384", "TRUNC", with_size(rgb_jpeg, 16384, 16384)},
      {"JPEG of more rows", "DATA", with_size(grey_jpeg, 50, 9)},
      {"JPEG of height 0", "DIM", with_size(rgb_jpeg, 0, 9)},
      {"JPEG of width 0", "DIM", with_size(rgb_jpeg, 5, 0)},
      {"JPEG of 65535 x 65535", "LIMIT", with_size(rgb_jpeg, 65535, 65535)},
      {"JPEG of 16385 columns", "LIMIT", with_size(rgb_jpeg, 5, 16385)},
      {"JPEG of 200 scans", "LIMIT", many_scans()},
      {"JPEG of 12 bits", "DATA", replaced(grey_jpeg, "\xff\xc0\0\x0b\x08"s, "\xff\xc0\0\x0b\x0c"s)},
      {"JPEG without Huffman tables", "DATA", replaced(grey_jpeg, "\xff\xc4", "\xff\xfe")},
      {"JPEG of other data", "DATA", replaced(grey_jpeg, "\x30\xd6", "\xfe\xfe")},
  };
}

}  // namespace

TEST_CASE("image: malformed files are refused, each for its reason") {
  const TempFolder folder;
  for (const Case& c : corpus()) {
    INFO(c.id);
    leave_for_program("image", c.bytes);
    const std::string path = write(folder, "image.png", c.bytes);
    std::string message;
    CHECK(peak_mib([&] { message = refusal(c.code, [&] { read_image(path); }); }) < 64);
    INFO(message);
    CHECK(message.starts_with(path + ": "));
  }
}

TEST_CASE("image: a file that is cut anywhere is refused") {
  const std::string small_png = png(header(2, 2, 8, rgb), {"abcdef", "ghijkl"});
  for (const std::string& good : {small_png, rgb_jpeg, progressive_jpeg, cmyk_jpeg})
    for (size_t size = 0; size < good.size(); ++size) {
      INFO(size);
      CHECK_THROWS_AS(decode(good.substr(0, size)), FileError);
    }
}

TEST_CASE("image: a byte that changed is refused or read, and nothing else") {
  uint32_t state = 1;
  const auto random = [&] { return (state = state * 1664525 + 1013904223) >> 8; };
  for (const std::string& good : {png(header(2, 2, 8, rgb), {"abcdef", "ghijkl"}), rgb_jpeg, progressive_jpeg,
                                  with_orientation(grey_jpeg, 6, true)})
    for (int trial = 0; trial < 3000; ++trial) {
      std::string bytes = good;
      for (int change = 0; change <= trial % 3; ++change)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      try {
        const Image image = decode(bytes);
        CHECK(static_cast<int64_t>(image.pixels.size()) == image.channels * image.rows * image.cols);
      } catch (const FileError&) {
      }
    }
}

TEST_CASE("image: a header that lies costs no memory") {
  // Of the 256 MiB that the size implies there is nothing; the file is as large as they could be packed.
  const std::string lie =
      signature + header(16384, 16384, 8, grey) + chunk("IDAT", std::string(300000, 'x')) + end_chunk;
  CHECK(peak_mib([&] { refusal("DATA", [&] { decode(lie); }); }) < 64);
  const std::string early =
      png(header(16384, 16384, 8, grey), {"ab"}, chunk("prVt", std::string(300000, 'x')));
  CHECK(peak_mib([&] { refusal("TRUNC", [&] { decode(early); }); }) < 64);
  std::string jpeg = with_size(grey_jpeg, 16384, 16384);
  jpeg.insert(jpeg.size() - 2, std::string(600000, '\1'));
  CHECK(peak_mib([&] { CHECK_THROWS_AS(decode(jpeg), FileError); }) < 128);
}

TEST_CASE("image: messages say what to do") {
  const TempFolder folder;
  const std::string path = write(folder, "x.png", "RIFF....WEBPVP8 ");
  CHECK(refusal("MAGIC", [&] { read_image(path); }) ==
        path + ": PNG and JPEG are read, this is a WebP image; convert it first");
  refusal("MISSING", [&] { read_image(folder / "nothing"); });
  refusal("MISSING", [&] { read_image(folder.path().string()); });
}

TEST_CASE("image: PNG of every kind") {
  const Image plain = decode(png(header(3, 2, 8, grey), {"abc", "def"}));
  CHECK(shape(plain) == std::vector<int64_t>{1, 2, 3});
  CHECK(values(plain) == std::vector<int>{'a', 'b', 'c', 'd', 'e', 'f'});

  const Image color = decode(png(header(2, 2, 8, rgb), {"abcdef", "ghijkl"}));
  CHECK(shape(color) == std::vector<int64_t>{3, 2, 2});
  CHECK(values(color) == std::vector<int>{'a', 'd', 'g', 'j', 'b', 'e', 'h', 'k', 'c', 'f', 'i', 'l'});

  // Fewer bits fill the whole range, of 16 the upper 8 remain.
  CHECK(values(decode(png(header(9, 1, 1, grey), {"\xa5\x80"}))) ==
        std::vector<int>{255, 0, 255, 0, 0, 255, 0, 255, 255});
  CHECK(values(decode(png(header(4, 1, 2, grey), {"\x1b"}))) == std::vector<int>{0, 85, 170, 255});
  CHECK(values(decode(png(header(2, 1, 4, grey), {"\x1f"}))) == std::vector<int>{17, 255});
  CHECK(values(decode(png(header(2, 1, 16, grey), {"a\xff"
                                                   "b\0"s}))) == std::vector<int>{'a', 'b'});
  CHECK(values(decode(png(header(1, 1, 16, rgb), {"a0b1c2"}))) == std::vector<int>{'a', 'b', 'c'});

  // Alpha is dropped, whether it has a channel or is one color.
  const Image with_alpha = decode(png(header(2, 1, 8, grey_alpha), {"a\0b\xff"s}));
  CHECK(with_alpha.channels == 1);
  CHECK(values(with_alpha) == std::vector<int>{'a', 'b'});
  CHECK(values(decode(png(header(1, 1, 8, rgb_alpha), {"abc\0"s}))) == std::vector<int>{'a', 'b', 'c'});
  CHECK(values(decode(png(header(2, 1, 8, grey), {"ab"}, chunk("tRNS", "\0a"s)))) ==
        std::vector<int>{'a', 'b'});

  const std::string colors = chunk("PLTE", "abcdefghi");
  for (const std::string& transparent : {std::string(), chunk("tRNS", "\0\x80"s)}) {
    const Image looked_up = decode(png(header(3, 1, 8, palette), {"\2\0\1"s}, colors + transparent));
    CHECK(looked_up.channels == 3);
    CHECK(values(looked_up) == std::vector<int>{'g', 'a', 'd', 'h', 'b', 'e', 'i', 'c', 'f'});
  }
  CHECK(values(decode(png(header(3, 1, 2, palette), {"\x84"}, colors))) ==
        std::vector<int>{'g', 'a', 'd', 'h', 'b', 'e', 'i', 'c', 'f'});

  // Adam7: of 3 x 3 pixels the first pass has one, the others follow by their places.
  CHECK(values(decode(png(header(3, 3, 8, grey, 1), {"a", "c", "gi", "b", "h", "def"}))) ==
        std::vector<int>{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'});
}

TEST_CASE("image: what lies in a PNG beside the pixels doesn't matter") {
  const std::string gamma = chunk("gAMA", big_endian(100000)), text = chunk("tEXt", "Title\0x"s);
  const std::string packed_text = chunk("zTXt", "Title\0\0"s + packed("text"));
  const std::string broken = chunk("iCCP", "profile\0\0"s + "broken");
  const std::string bytes = png(header(2, 1, 8, grey), {"ab"}, gamma + text + packed_text + broken);
  CHECK(values(decode(bytes + "and behind it")) == std::vector<int>{'a', 'b'});
}

TEST_CASE("image: JPEG as Pillow reads it") {
  const Image color = decode(rgb_jpeg);
  CHECK(shape(color) == std::vector<int64_t>{3, 5, 9});
  const std::vector<int> pixels = values(color);
  for (const auto& [at, row] :
       std::vector<std::pair<int, std::vector<int>>>{{0, {0, 9, 18, 26, 36, 45, 53, 63, 72}},
                                                     {45, {59, 69, 78, 86, 96, 105, 113, 123, 132}},
                                                     {126, {167, 177, 186, 194, 204, 212, 221, 231, 239}}})
    CHECK(std::vector<int>(pixels.begin() + at, pixels.begin() + at + 9) == row);
  CHECK(values(decode(progressive_jpeg)) == pixels);
  const Image gray = decode(grey_jpeg);
  CHECK(shape(gray) == std::vector<int64_t>{1, 5, 9});
  CHECK(values(gray)[0] == 48);
  CHECK(values(gray)[44] == 168);
  const std::vector<int> cmyk = values(decode(cmyk_jpeg));
  CHECK(std::vector<int>(cmyk.begin(), cmyk.begin() + 9) ==
        std::vector<int>{0, 9, 18, 26, 37, 45, 54, 63, 72});
  CHECK(cmyk[45] == 60);
  CHECK(cmyk[134] == 240);
  CHECK(values(decode(rgb_jpeg + "and behind it")) == pixels);
}

TEST_CASE("image: a file is read by its content, whatever its name") {
  const TempFolder folder;
  CHECK(read_image(write(folder, "a.png", rgb_jpeg)).channels == 3);
  CHECK(read_image(write(folder, "a.jpg", png(header(1, 1, 8, grey), {"a"}))).pixels[0] == 'a');
}

TEST_CASE("image: a PNG that was written is read back") {
  const TempFolder folder;
  for (const int64_t channels : {1, 3}) {
    Image image{channels, 17, 23, {}};
    for (int64_t i = 0; i < channels * 17 * 23; ++i) image.pixels.push_back(static_cast<uint8_t>(i * i >> 3));
    write_png(folder / "x.png", image);
    const Image again = read_image(folder / "x.png");
    CHECK(shape(again) == shape(image));
    CHECK(again.pixels == image.pixels);
  }
  CHECK_THROWS_AS(encode_png({2, 1, 1, {0, 0}}), ShapeError);
  CHECK_THROWS_AS(encode_png({1, 1, 2, {0}}), ShapeError);
  CHECK_THROWS_AS(encode_png({1, 0, 0, {}}), ShapeError);
}

// Expected values come from Pillow 13: Image.fromarray(x).resize((cols, rows), Image.BILINEAR).
TEST_CASE("image: resized as by Pillow") {
  Image image{1, 5, 7, {}};
  for (int row = 0; row < 5; ++row)
    for (int col = 0; col < 7; ++col)
      image.pixels.push_back(static_cast<uint8_t>(row * 37 + col * 71 + row * col * 13));
  CHECK(values(resized(image, 3, 4)) ==
        std::vector<int>{56, 145, 101, 122, 115, 101, 129, 97, 119, 101, 111, 129});
  CHECK(values(resized(image, 2, 2)) == std::vector<int>{105, 115, 112, 115});
  CHECK(values(resized(image, 1, 1)) == std::vector<int>{110});
  CHECK(values(resized(image, 5, 3)) ==
        std::vector<int>{61, 138, 109, 109, 108, 122, 102, 109, 116, 150, 125, 73, 89, 80, 177});
  const std::vector<int> larger = values(resized(image, 9, 11));
  CHECK(std::vector<int>(larger.begin(), larger.begin() + 22) ==
        std::vector<int>{0,  32, 77, 123, 168, 213, 95, 47, 93,  138, 170,
                         12, 46, 94, 143, 159, 153, 92, 78, 126, 128, 123});
  CHECK(resized(image, 5, 7).pixels == image.pixels);
  // Each channel by itself.
  Image three{3, 5, 7, {}};
  for (int c = 0; c < 3; ++c)
    for (const uint8_t pixel : image.pixels) three.pixels.push_back(static_cast<uint8_t>(pixel / (c + 1)));
  const Image smaller = resized(three, 3, 4);
  CHECK(shape(smaller) == std::vector<int64_t>{3, 3, 4});
  CHECK(smaller.pixels[0] == 56);
  CHECK(smaller.pixels[11] == 129);
  CHECK(std::abs(smaller.pixels[12] - 28) <= 1);
  CHECK(std::abs(smaller.pixels[35] - 43) <= 1);
  CHECK_THROWS_AS(resized(image, 0, 3), ValueError);
  CHECK_THROWS_AS(resized(image, 3, 20000), ValueError);
}

TEST_CASE("image: grey from RGB as by Pillow, and back") {
  Image image{3, 2, 3, {}};
  for (int c = 0; c < 3; ++c)
    for (int row = 0; row < 2; ++row)
      for (int col = 0; col < 3; ++col)
        image.pixels.push_back(static_cast<uint8_t>(row * 37 + col * 71 + c * 101 + row * col * 13));
  const Image gray = to_channels(image, 1);
  CHECK(values(gray) == std::vector<int>{82, 124, 195, 119, 174, 108});
  CHECK(to_channels(image, 3).pixels == image.pixels);
  const Image back = to_channels(gray, 3);
  CHECK(shape(back) == std::vector<int64_t>{3, 2, 3});
  CHECK(values(back) == std::vector<int>{82, 124, 195, 119, 174, 108, 82, 124, 195, 119, 174, 108, 82, 124,
                                         195, 119, 174, 108});
  CHECK_THROWS_AS(to_channels(image, 2), ValueError);
}

TEST_CASE("image: a JPEG is turned as its EXIF data say") {
  const Image stored = decode(grey_jpeg);
  const auto corners = [](const Image& image) {
    const auto at = [&](int64_t row, int64_t col) {
      return int{image.pixels[static_cast<size_t>(row * image.cols + col)]};
    };
    return std::vector<int>{at(0, 0), at(0, image.cols - 1), at(image.rows - 1, 0),
                            at(image.rows - 1, image.cols - 1)};
  };
  const std::vector<int> names = corners(stored);
  // Top left, top right, bottom left and bottom right of the result, as corners of what is stored.
  const std::vector<std::vector<size_t>> expected = {{0, 1, 2, 3}, {1, 0, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1},
                                                     {0, 2, 1, 3}, {2, 0, 3, 1}, {3, 1, 2, 0}, {1, 3, 0, 2}};
  const TempFolder folder;
  for (const bool little : {true, false})
    for (size_t n = 0; n < 8; ++n) {
      CAPTURE(n + 1);
      const std::string bytes = with_orientation(grey_jpeg, static_cast<char>(n + 1), little);
      const Image image = decode(bytes);
      std::vector<int> wanted;
      for (const size_t corner : expected[n]) wanted.push_back(names[corner]);
      CHECK(corners(image) == wanted);
      CHECK(image.rows == (n < 4 ? 5 : 9));
      const ImageSize size = read_image_size(write(folder, "x.jpg", bytes));
      CHECK(size.rows == image.rows);
      CHECK(size.cols == image.cols);
    }
  for (const char odd : {'\0', '\x09', '\xff'})
    CHECK(decode(with_orientation(grey_jpeg, odd, true)).pixels == stored.pixels);
}

TEST_CASE("image: the size is read from the first bytes") {
  const TempFolder folder;
  const auto size_of = [&](const std::string& bytes) {
    const ImageSize size = read_image_size(write(folder, "x", bytes));
    return std::vector<int64_t>{size.channels, size.rows, size.cols};
  };
  for (const std::string& bytes :
       {png(header(2, 1, 8, grey), {"ab"}), png(header(2, 2, 8, rgb), {"abcdef", "ghijkl"}), rgb_jpeg,
        grey_jpeg, progressive_jpeg, cmyk_jpeg})
    CHECK(size_of(bytes) == shape(decode(bytes)));
  // A profile of more than 64 KiB comes before the size.
  std::string profiles;
  for (int i = 0; i < 3; ++i) profiles += "\xff\xe2\xff\xff" + std::string(65533, 'p');
  CHECK(size_of(rgb_jpeg.substr(0, 2) + profiles + rgb_jpeg.substr(2)) == std::vector<int64_t>{3, 5, 9});
  // The pixels aren't looked at, and what is no image is refused.
  CHECK(size_of(grey_jpeg.substr(0, grey_jpeg.size() - 10)) == std::vector<int64_t>{1, 5, 9});
  refusal("TRUNC", [&] { size_of(rgb_jpeg.substr(0, 100)); });
  refusal("TRUNC", [&] { size_of(png(header(2, 1, 8, grey), {"ab"}).substr(0, 20)); });
  refusal("MAGIC", [&] { size_of("RIFF....WEBPVP8 "); });
  refusal("LIMIT", [&] { size_of(with_size(rgb_jpeg, 5, 16385)); });
}
