#include <ballast/data/safetensors.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "malformed.h"

using namespace ballast;
using namespace std::string_literals;

namespace {

std::string prefix(uint64_t header_length) {
  return {reinterpret_cast<const char*>(&header_length), sizeof header_length};
}

/// A file with this header, as it stands, followed by `data_size` zero bytes.
std::string file(const std::string& header, size_t data_size = 0) {
  return prefix(header.size()) + header + std::string(data_size, '\0');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

/// One F32 tensor "a" of this shape and these offsets, and `data_size` bytes.
std::string tensor_a(const std::string& shape, const std::string& offsets, size_t data_size = 8) {
  return file("{" + entry("a", "F32", shape, offsets) + "}", data_size);
}

std::string two(const std::string& offsets_a, const std::string& offsets_b, size_t data_size) {
  return file("{" + entry("a", "F32", "[2]", offsets_a) + "," + entry("b", "F32", "[2]", offsets_b) + "}",
              data_size);
}

struct Case {
  const char* id;
  const char* code;
  std::string bytes;
};

const std::string valid = tensor_a("[2]", "[0,8]");
const std::string zip_end = std::string("PK\5\6") + std::string(18, '\0');

const std::vector<Case> malformed = {
    {"S1 empty", "TRUNC", ""},
    {"S2 7 bytes", "TRUNC", valid.substr(0, 7)},
    {"S3 header longer than the file", "TRUNC", prefix(1000) + "{}"},
    {"S4 N = 2^63", "LIMIT", prefix(uint64_t{1} << 63) + "{}"},
    {"S4 a zip archive, as of torch.save", "MAGIC", "PK\3\4\24\0\10\10 and more"s},
    {"S4 a pickle", "MAGIC", "\x80\2}q\0(X and more"s},
    {"S5 N = 100,000,001", "LIMIT", prefix(100'000'001) + "{}"},
    {"S6 N = 0", "JSON", prefix(0)},
    {"S7 byte 0xff", "UTF8", file("{" + entry("\xff", "F32", "[2]", "[0,8]") + "}", 8)},
    {"S7 overlong slash", "UTF8", file("{" + entry("\xc0\xaf", "F32", "[2]", "[0,8]") + "}", 8)},
    {"S7 encoded surrogate", "UTF8", file("{" + entry("\xed\xa0\x80", "F32", "[2]", "[0,8]") + "}", 8)},
    {"S7 above U+10FFFF", "UTF8", file("{" + entry("\xf4\x90\x80\x80", "F32", "[2]", "[0,8]") + "}", 8)},
    {"S7 cut sequence", "UTF8", file("{}\xe2\x82")},
    {"S8 unfinished", "JSON", file("{\"a\":")},
    {"S9 array", "JSON", file("[1]")},
    {"S10 two objects", "JSON", file("{}{}")},
    {"S10 something after a NUL", "JSON", file(std::string("{}\0garbage", 10))},
    {"S10 leading space", "JSON", file(" {}")},
    {"S11 a name twice", "DUPKEY",
     file("{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("a", "F32", "[2]", "[8,16]") + "}", 16)},
    {"S11 a name twice, one escaped", "DUPKEY",
     file("{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("\\u0061", "F32", "[2]", "[8,16]") + "}",
          16)},
    {"S11 metadata twice", "DUPKEY", file(R"({"__metadata__":{},"__metadata__":{}})")},
    {"S11 metadata key twice", "DUPKEY", file(R"({"__metadata__":{"k":"1","k":"2"}})")},
    {"S12 dtype twice", "DUPKEY",
     file(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8)},
    {"S12 shape twice", "DUPKEY",
     file(R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})", 8)},
    {"S12 offsets twice", "DUPKEY",
     file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}})", 8)},
    {"S13 F33", "DTYPE", file("{" + entry("a", "F33", "[2]", "[0,8]") + "}", 8)},
    {"S14 no shape", "SCHEMA", file(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8)},
    {"S14 no dtype", "SCHEMA", file(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8)},
    {"S14 no offsets", "SCHEMA", file(R"({"a":{"dtype":"F32","shape":[2]}})", 8)},
    {"S14 not an object", "SCHEMA", file(R"({"a":1})")},
    {"S14 dtype is a number", "SCHEMA", file(R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})", 8)},
    {"S14 shape is a number", "SCHEMA", tensor_a("2", "[0,8]")},
    {"S14 shape is an object", "SCHEMA", tensor_a("{}", "[0,8]")},
    {"S15 unknown key", "SCHEMA",
     file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":[1]}})", 8)},
    {"S16 -2", "DIM", tensor_a("[-2]", "[0,8]")},
    {"S16 -0", "DIM", tensor_a("[-0]", "[0,0]", 0)},
    {"S17 2.0", "DIM", tensor_a("[2.0]", "[0,8]")},
    {"S17 true", "DIM", tensor_a("[true]", "[0,8]")},
    {"S17 [2]", "DIM", tensor_a("[[2]]", "[0,8]")},
    {"S18 \"2\"", "DIM", tensor_a("[\"2\"]", "[0,8]")},
    {"S19 2^32 x 2^32", "OVERFLOW", tensor_a("[4294967296,4294967296]", "[0,8]")},
    {"S19 2^63", "OVERFLOW", tensor_a("[9223372036854775808]", "[0,8]")},
    {"S20 2^62 x F32", "OVERFLOW", tensor_a("[4611686018427387904]", "[0,8]")},
    {"S20 2^60 x F4", "OVERFLOW", file("{" + entry("a", "F4", "[1152921504606846976]", "[0,8]") + "}", 8)},
    {"S21 end before begin", "RANGE", tensor_a("[2]", "[8,0]")},
    {"S22 end beyond the file", "RANGE", tensor_a("[2]", "[0,800]")},
    {"S23 size against shape", "RANGE", tensor_a("[3]", "[0,8]")},
    {"S23 half a byte", "RANGE", file("{" + entry("a", "F4", "[3]", "[0,1]") + "}", 1)},
    {"S24 shared bytes", "OVERLAP", two("[0,8]", "[4,12]", 12)},
    {"S24 the same bytes", "OVERLAP", two("[0,8]", "[0,8]", 8)},
    {"S24 an empty tensor inside another", "OVERLAP",
     file("{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[0]", "[4,4]") + "}", 8)},
    {"S25 gap", "HOLE", two("[0,8]", "[12,20]", 20)},
    {"S26 first not at 0", "HOLE", tensor_a("[2]", "[4,12]", 12)},
    {"S26 empty, not at 0", "HOLE", tensor_a("[0]", "[4,4]", 4)},
    {"S27 zip appended", "TRAIL", valid + zip_end},
    {"S27 data without tensors", "TRAIL", file("{}", 1)},
    {"S28 three offsets", "SCHEMA", tensor_a("[2]", "[0,8,8]")},
    {"S28 one offset", "SCHEMA", tensor_a("[2]", "[0]")},
    {"S28 a string as offset", "SCHEMA", tensor_a("[2]", "[0,\"8\"]")},
    {"S29 begin -8", "RANGE", tensor_a("[2]", "[-8,0]")},
    {"S29 begin 0.0", "RANGE", tensor_a("[2]", "[0.0,8]")},
    {"S30 metadata value 1", "SCHEMA", file(R"({"__metadata__":{"k":1}})")},
    {"S30 metadata value null", "SCHEMA", file(R"({"__metadata__":{"k":null}})")},
    {"S30 metadata value object", "SCHEMA", file(R"({"__metadata__":{"k":{}}})")},
    {"S30 metadata value 1e400", "SCHEMA", file(R"({"__metadata__":{"k":1e400}})")},
    {"S31 metadata array", "SCHEMA", file(R"({"__metadata__":[]})")},
    {"S31 metadata string", "SCHEMA", file(R"({"__metadata__":"k"})")},
    {"S32 100k [", "LIMIT", file(std::string(100'000, '['))},
    {"S32 100k [ as a value", "LIMIT", file("{\"a\":" + std::string(100'000, '['))},
    {"S33 1e400", "RANGE", tensor_a("[2]", "[0,1e400]")},
    {"S33 1e400 as a size", "DIM", tensor_a("[1e400]", "[0,8]")},
    {"S34 data short", "TRUNC", valid.substr(0, valid.size() - 1)},
    {"S34 no data", "TRUNC", tensor_a("[2]", "[0,8]", 0)},
    {"S35 begin = 2^64-8", "OVERFLOW", tensor_a("[2]", "[18446744073709551608,0]")},
    {"S36 2^64+2", "DIM", tensor_a("[18446744073709551618]", "[0,8]")},
    {"S37 NUL in a name", "NAME", file("{" + entry("a\\u0000b", "F32", "[2]", "[0,8]") + "}", 8)},
    {"S37 raw NUL", "JSON", file("{" + entry(std::string("a\0b", 3), "F32", "[2]", "[0,8]") + "}", 8)},
    {"S38 git-LFS pointer", "MAGIC",
     "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n"},
    {"S39 lone surrogate", "JSON", file("{" + entry("\\ud800", "F32", "[2]", "[0,8]") + "}", 8)},
    {"7 axes", "LIMIT", tensor_a("[1,1,1,1,1,1,2]", "[0,8]")},
};

/// The error that opening a file of these bytes ends with; fails the test if it opens.
FileError refusal(const std::string& bytes) {
  const TempFolder folder;
  const std::string path = folder / "bad.safetensors";
  write_bytes(path, bytes);
  try {
    SafetensorsFile file(path);
  } catch (const FileError& error) {
    const std::string message = error.what();
    CHECK(message.starts_with(path + ": "));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < path.size() + 400);
    return error;
  }
  FAIL("the file was accepted");
  return {"", "", ""};
}

std::map<std::string, Shape> shapes(const SafetensorsFile& file) {
  std::map<std::string, Shape> result;
  for (const auto& [name, entry] : file.entries()) result[name] = entry.shape;
  return result;
}

/// A file of one tensor "a" that holds `values` as they lie in memory.
template <class Stored>
std::string stored(const char* dtype, const std::vector<Stored>& values) {
  const size_t size = values.size() * sizeof(Stored);
  const std::string header =
      "{" + entry("a", dtype, "[" + std::to_string(values.size()) + "]", "[0," + std::to_string(size) + "]") +
      "}";
  return prefix(header.size()) + header + std::string(reinterpret_cast<const char*>(values.data()), size);
}

template <class Value>
std::vector<Value> read_a(const std::string& bytes) {
  const TempFolder folder;
  write_bytes(folder / "a.safetensors", bytes);
  const SafetensorsFile file(folder / "a.safetensors");
  std::vector<Value> values(static_cast<size_t>(file.entry("a").shape.count()));
  file.read("a", std::span<Value>(values));
  return values;
}

}  // namespace

TEST_CASE("safetensors: every malformed file is refused under its code") {
  for (const Case& c : malformed) {
    CAPTURE(c.id);
    leave_for_program("safetensors", c.bytes);
    const FileError error = refusal(c.bytes);
    CHECK_MESSAGE(error.code == c.code, c.id << ": " << error.what());
  }
}

TEST_CASE("safetensors: a refusal says where and what to do") {
  CHECK(std::string(refusal(valid + zip_end).what())
            .ends_with("22 bytes after the last tensor at byte " + std::to_string(valid.size())));
  CHECK(std::string(refusal(file("{}{}")).what()).ends_with("at byte 10"));
  CHECK(std::string(refusal(file("{\"\xff\":1}")).what()).ends_with("at byte 10"));
  CHECK(std::string(refusal("version https://git-lfs.github.com/spec/v1\n").what()).find("git lfs pull") !=
        std::string::npos);
  // A name can't write to the terminal or break the line.
  CHECK(std::string(refusal(file(R"({"a\n\u001b[31m":1})")).what()).find("'a??[31m'") != std::string::npos);
}

TEST_CASE("safetensors: what isn't a regular file is refused, and never waited for") {
  const TempFolder folder;
  CHECK_THROWS_WITH_AS(SafetensorsFile(folder / "none"), doctest::Contains(": No such file"), FileError);
  CHECK_THROWS_WITH_AS(SafetensorsFile(folder.path().string()), doctest::Contains(": not a regular"),
                       FileError);
  CHECK_THROWS_WITH_AS(SafetensorsFile("/dev/zero"), doctest::Contains(": not a regular"), FileError);
}

TEST_CASE("safetensors: more names or text than any model has are refused early") {
  std::string many = "{";
  for (int i = 0; i <= 100'000; ++i) {
    many += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  CHECK(refusal(file(many + "}")).code == "LIMIT");
  CHECK(refusal(file("{\"" + std::string(8 << 20, 'x') + "\":1}")).code == "LIMIT");
  CHECK(refusal(file("{" + std::string(8 << 20, ' ') + "x")).code == "LIMIT");
}

TEST_CASE("safetensors: unusual but legal files are read") {
  const TempFolder folder;
  const std::string path = folder / "legal.safetensors";
  const auto read = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    return shapes(SafetensorsFile(path));
  };
  using Shapes = std::map<std::string, Shape>;
  CHECK(read(file("{}")) == Shapes{});
  CHECK(read(file("{} \n\t ")) == Shapes{});
  CHECK(read(file("{}" + std::string(9 << 20, ' '))) == Shapes{});
  CHECK(read(file("{" + entry("s", "F32", "[]", "[0,4]") + "}", 4)) == Shapes{{"s", {}}});
  CHECK(read(file("{" + entry("", "F32", "[1]", "[0,4]") + "}", 4)) == Shapes{{"", {1}}});
  CHECK(read(tensor_a("[1,1,1,1,1,2]", "[0,8]")) == Shapes{{"a", {1, 1, 1, 1, 1, 2}}});
  // Any order in the text, and tensors of no elements at the start, at a border, at the end, alone.
  CHECK(read(two("[8,16]", "[0,8]", 16)) == Shapes{{"a", {2}}, {"b", {2}}});
  CHECK(read(file("{" + entry("d", "F32", "[3,0]", "[16,16]") + "," + entry("c", "F32", "[0]", "[0,0]") +
                      "," + entry("a", "F32", "[2]", "[8,16]") + "," + entry("e", "F32", "[0]", "[8,8]") +
                      "," + entry("b", "F32", "[2]", "[0,8]") + "}",
                  16)) == Shapes{{"a", {2}}, {"b", {2}}, {"c", {0}}, {"d", {3, 0}}, {"e", {0}}});
  CHECK(read(tensor_a("[4294967296,4294967296,0]", "[0,0]", 0)) ==
        Shapes{{"a", {4294967296, 4294967296, 0}}});
  // Escapes and text beyond ASCII.
  CHECK(read(file("{" + entry("\\ud83d\\ude00\\\\\\\"[[[[[[[[[", "F32", "[1]", "[0,4]") + "}", 4)) ==
        Shapes{{"\xf0\x9f\x98\x80\\\"[[[[[[[[[", {1}}});
  CHECK(read(file("{" + entry("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "F32", "[1]", "[0,4]") + "}", 4)) ==
        Shapes{{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", {1}}});

  write_bytes(path, file(R"({"__metadata__":{"format":"pt","":"\u00e9"}})"));
  CHECK(SafetensorsFile(path).metadata() ==
        std::map<std::string, std::string>{{"format", "pt"}, {"", "\xc3\xa9"}});
}

TEST_CASE("safetensors: every floating-point type reads as real") {
  const real inf = std::numeric_limits<real>::infinity();
  CHECK(read_a<real>(stored<float>("F32", {0.1f, -2})) == std::vector<real>{real(0.1f), -2});
  CHECK(read_a<real>(stored<double>("F64", {0.1, -2})) == std::vector<real>{real(0.1), -2});
  CHECK(read_a<real>(stored<uint16_t>("BF16", {0x3F80, 0xC049, 0xFF80, 0x0001})) ==
        std::vector<real>{1, real(-3.140625), -inf, real(0x1p-133)});
  // 1, -2, the largest, the smallest normal, the largest and smallest subnormal, 1/3, infinity.
  CHECK(read_a<real>(
            stored<uint16_t>("F16", {0x3C00, 0xC000, 0x7BFF, 0x0400, 0x03FF, 0x8001, 0x3555, 0x7C00})) ==
        std::vector<real>{1, -2, 65504, real(0x1p-14), real(1023 * 0x1p-24), real(-0x1p-24),
                          real(0.333251953125), inf});
  const std::vector<real> special = read_a<real>(stored<uint16_t>("F16", {0x8000, 0x7E01}));
  CHECK(special[0] == 0);
  CHECK(std::signbit(special[0]));
  CHECK(std::isnan(special[1]));

  std::vector<double> long_row(10'000);  // more than one block of the conversion
  for (size_t i = 0; i < long_row.size(); ++i) long_row[i] = static_cast<double>(i) - 0.5;
  CHECK(read_a<real>(stored("F64", long_row)) == std::vector<real>(long_row.begin(), long_row.end()));
}

TEST_CASE("safetensors: integers read as int64") {
  const std::vector<int64_t> expected = {1, -2};
  CHECK(read_a<int64_t>(stored<int64_t>("I64", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<int32_t>("I32", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<int16_t>("I16", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<int8_t>("I8", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<uint8_t>("U8", {1, 254})) == std::vector<int64_t>{1, 254});
  CHECK(read_a<int64_t>(stored<uint16_t>("U16", {1, 65534})) == std::vector<int64_t>{1, 65534});
  CHECK(read_a<int64_t>(stored<uint32_t>("U32", {1, 4294967294})) == std::vector<int64_t>{1, 4294967294});
  CHECK(read_a<int64_t>(stored<uint8_t>("BOOL", {1, 0})) == std::vector<int64_t>{1, 0});
}

TEST_CASE("safetensors: floating-point values read as int64 if they are whole") {
  const std::vector<int64_t> expected = {1, -2};
  CHECK(read_a<int64_t>(stored<float>("F32", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<double>("F64", {1, -2})) == expected);
  CHECK(read_a<int64_t>(stored<uint16_t>("F16", {0x3C00, 0xC000})) == expected);
  CHECK(read_a<int64_t>(stored<uint16_t>("BF16", {0x3F80, 0xC000})) == expected);
  CHECK(read_a<int64_t>(stored<double>("F64", {0x1p53})) == std::vector<int64_t>{int64_t{1} << 53});
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double value : {0.5, 0x1p54, -0x1p63, infinite, -infinite, infinite - infinite})
    CHECK_THROWS_WITH_AS(read_a<int64_t>(stored<double>("F64", {value})),
                         doctest::Contains(": tensor 'a' is F64 and holds"), FileError);
}

TEST_CASE("safetensors: a legal type that isn't supported says so") {
  const auto contains = doctest::Contains(": tensor 'a' is F8_E4M3, a legal type, but not supported here");
  CHECK_THROWS_WITH_AS(read_a<real>(stored<uint8_t>("F8_E4M3", {1})), contains, FileError);
  for (const char* dtype : {"F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"}) {
    CHECK_THROWS_AS(read_a<real>(stored<uint8_t>(dtype, {1})), FileError);
  }
  CHECK_THROWS_AS(read_a<real>(stored<uint64_t>("C64", {1})), FileError);
  CHECK_THROWS_AS(read_a<int64_t>(stored<uint64_t>("U64", {1})), FileError);
  // Types smaller than a byte: four values of 6 bits in 3 bytes.
  CHECK_THROWS_WITH_AS(read_a<real>(file("{" + entry("a", "F6_E2M3", "[4]", "[0,3]") + "}", 3)),
                       doctest::Contains("not supported"), FileError);
}

TEST_CASE("safetensors: reading a tensor that isn't there, or into the wrong size") {
  const TempFolder folder;
  write_bytes(folder / "a.safetensors", valid);
  const SafetensorsFile file(folder / "a.safetensors");
  std::vector<real> three(3);
  CHECK_THROWS_WITH_AS(file.read("a", std::span<real>(three)), doctest::Contains("shape (2)"), ShapeError);
  CHECK_THROWS_WITH_AS(file.read("b", std::span<real>(three)), doctest::Contains(": no tensor is named 'b'"),
                       FileError);
  CHECK(file.contains("a"));
  CHECK(!file.contains("b"));
}

TEST_CASE("safetensors: what is written reads back bit for bit") {
  const TempFolder folder;
  const std::string path = folder / "round.safetensors";
  const real nan = std::numeric_limits<real>::quiet_NaN();
  const std::vector<real> weight = {1, -0.0, std::numeric_limits<real>::denorm_min(), nan, real(0.1), 5};
  const std::vector<real> bias = {7};
  const int64_t steps = (int64_t{1} << 53) + 1;
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"note", "\xc3\xa9\n\""}};
  write_safetensors(path,
                    {{"fc.weight", {2, 3}, weight.data()},
                     {"fc.bias", {1}, bias.data()},
                     {"none", {0, 4}, bias.data()},
                     {"num_batches_tracked", {}, &steps}},
                    metadata);

  const SafetensorsFile file(path);
  CHECK(shapes(file) ==
        std::map<std::string, Shape>{
            {"fc.weight", {2, 3}}, {"fc.bias", {1}}, {"none", {0, 4}}, {"num_batches_tracked", {}}});
  CHECK(file.metadata() == metadata);
  CHECK(dtype_name(file.entry("fc.weight").dtype) == (sizeof(real) == 8 ? "F64" : "F32"));
  CHECK(dtype_name(file.entry("num_batches_tracked").dtype) == "I64");
  std::vector<real> read(6);
  file.read("fc.weight", std::span<real>(read));
  CHECK(std::memcmp(read.data(), weight.data(), 6 * sizeof(real)) == 0);
  int64_t read_steps = 0;
  file.read("num_batches_tracked", std::span(&read_steps, 1));
  CHECK(read_steps == steps);

  // The data start at a multiple of 8, and each tensor at a multiple of its type's size.
  const std::string bytes = read_all(path);
  uint64_t header_length = 0;
  std::memcpy(&header_length, bytes.data(), 8);
  CHECK(header_length % 8 == 0);
  CHECK(file.entry("num_batches_tracked").begin % 8 == 0);
  CHECK(file.entry("fc.weight").begin % sizeof(real) == 0);

  write_safetensors(path, {});
  CHECK(SafetensorsFile(path).entries().empty());
}

TEST_CASE("safetensors: names that no reader would accept aren't written") {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  const real one = 1;
  const auto code = [&](std::vector<SafetensorsTensor> tensors,
                        std::map<std::string, std::string> metadata = {}) {
    try {
      write_safetensors(path, std::move(tensors), metadata);
    } catch (const FileError& error) {
      return error.code;
    }
    return std::string("written");
  };
  CHECK(code({{"__metadata__", {}, &one}}) == "SCHEMA");  // S40
  CHECK(code({{std::string("a\0b", 3), {}, &one}}) == "NAME");
  CHECK(code({{"a", {}, &one}, {"a", {}, &one}}) == "DUPKEY");
  CHECK(code({{"\xff", {}, &one}}) == "UTF8");
  CHECK(code({{"a", {}, &one}}, {{"k", "\xff"}}) == "UTF8");
  CHECK(code({}, {{"k", std::string(8 << 20, 'x')}}) == "LIMIT");
  CHECK(std::filesystem::is_empty(folder.path()));
}
