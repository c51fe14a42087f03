#include <doctest/doctest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <ballast/data/npy.h>

#include "malformed.h"

using namespace ballast;
using namespace std::string_literals;

namespace {

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i);
  return text;
}

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  const std::string text = header + std::string(header.size() % 7, ' ') + "\n";
  return "\x93NUMPY"s + static_cast<char>(version) + '\0' + little_endian(text.size(), version == 1 ? 2 : 4) +
         text + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }";
}

/// A member of an archive; what isn't set follows from the data.
struct Member {
  std::string name, data;
  int method = 0, flags = 0;
  int64_t size = -1, crc = -1, at = -1;
  std::string packed = {};
};

std::string zip(const std::vector<Member>& members) {
  std::string file, directory;
  for (const Member& m : members) {
    const std::string packed = !m.packed.empty() ? m.packed
                               : m.method == 8   ? deflated(-MAX_WBITS, m.data)
                                                 : m.data;
    const auto true_crc = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(m.data.data()),
                                static_cast<uInt>(m.data.size()));
    const auto word = [](auto value) { return little_endian(static_cast<uint64_t>(value), 4); };
    const auto half = [](auto value) { return little_endian(static_cast<uint64_t>(value), 2); };
    const std::string fields = half(20) + half(m.flags) + half(m.method) + half(0) + half(33) +
                               (m.crc < 0 ? word(true_crc) : word(m.crc)) + word(packed.size()) +
                               (m.size < 0 ? word(m.data.size()) : word(m.size)) + half(m.name.size()) +
                               half(0);
    const int64_t at = m.at < 0 ? static_cast<int64_t>(file.size()) : m.at;
    if (m.at < 0) file += "PK\3\4" + fields + m.name + packed;
    directory += "PK\1\2" + half(20) + fields + half(0) + half(0) + half(0) + word(0) + word(at) + m.name;
  }
  return file + directory + "PK\5\6" + little_endian(0, 4) + little_endian(members.size(), 2) +
         little_endian(members.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(file.size(), 4) + little_endian(0, 2);
}

struct Case {
  std::string id, code, bytes;
};

std::vector<Case> npy_corpus() {
  const std::string six = "abcdef", good = npy(dictionary("|u1", "(2, 3)"), six);
  const std::string nested(9000, '(');
  std::string axes;
  for (int i = 0; i < 65; ++i) axes += "1, ";
  const auto with = [&](const std::string& header) { return npy(header, six); };
  return {
      {"N1", "TRUNC", ""},
      {"N2", "TRUNC", "\x93NU"},
      {"N2 whole magic", "TRUNC", "\x93NUMPY"},
      {"N2 in the length", "TRUNC", good.substr(0, 9)},
      {"N3", "TRUNC", good.substr(0, 40)},
      {"N3 version 2", "TRUNC", "\x93NUMPY\2\0\xff\xff\xff\x7f{}"s},
      {"N3 2^32 - 1", "TRUNC", "\x93NUMPY\3\0\xff\xff\xff\xff{}"s},
      {"N4", "TRUNC", good.substr(0, good.size() - 1)},
      {"N4 no data", "TRUNC", npy(dictionary("<f8", "(1000000000,)"), "")},
      {"N5", "MAGIC", "\x92NUMPY" + good.substr(6)},
      {"N5 text", "MAGIC", "1.5, 2.5, 3.5, 4.5"},
      {"N5 a web page", "MAGIC", "<!DOCTYPE html>"},
      {"N6", "MAGIC", npy(dictionary("|u1", "(2, 3)"), six, 9)},
      {"N6 version 0", "MAGIC", npy(dictionary("|u1", "(2, 3)"), six, 0)},
      {"N7", "HEADER", "\x93NUMPY\1\0\0\0"s + six},
      {"N8", "HEADER", with("['descr', '|u1', 'fortran_order', False, 'shape', (2, 3)]")},
      {"N8 nothing but spaces", "HEADER", with("      ")},
      {"N8 cut", "HEADER", with("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3")},
      {"N8 an open string", "HEADER", with("{'descr': '|u1")},
      {"N8 a word for a key", "HEADER", with("{descr: '|u1', 'fortran_order': False, 'shape': (2, 3)}")},
      {"N8 a number for an order", "HEADER", with("{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 3)}")},
      {"N8 more behind", "HEADER", with(dictionary("|u1", "(2, 3)") + "import os")},
      {"N9", "HEADER", with("{'x': 1, " + dictionary("|u1", "(2, 3)").substr(1))},
      {"N10", "HEADER", with("{'descr': '|u1', 'shape': (2, 3)}")},
      {"N10 no dtype", "HEADER", with("{'fortran_order': False, 'shape': (2, 3)}")},
      {"N10 no shape", "HEADER", with("{'descr': '|u1', 'fortran_order': False}")},
      {"N10 none", "HEADER", with("{}")},
      {"N11", "HEADER", with("{'descr': '|u1', " + dictionary("|u1", "(2, 3)").substr(1))},
      {"N12", "HEADER", with(nested)},
      {"N12 as shape", "HEADER", with(dictionary("|u1", nested))},
      {"N13", "LIMIT", with(dictionary("|u1", "(2, 3)") + std::string(20000, ' '))},
      {"N13 version 2", "LIMIT", npy(std::string(100000, ' '), six, 2)},
      {"N14", "LIMIT", with(dictionary("|u1", "(" + axes + ")"))},
      {"N15", "DTYPE", with(dictionary("|O", "(2, 3)"))},
      {"N16", "DTYPE",
       with("{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (2,)}")},
      {"N17", "DTYPE", with(dictionary("|V0", "(2, 3)"))},
      {"N17 a float", "DTYPE", with(dictionary("<f0", "(2, 3)"))},
      {"N17 nothing", "DTYPE", with(dictionary("", "(2, 3)"))},
      {"DTYPE big-endian", "DTYPE", npy(dictionary(">i2", "(3,)"), six)},
      {"DTYPE complex", "DTYPE", npy(dictionary("<c8", "(1,)"), six)},
      {"DTYPE strings", "DTYPE", npy(dictionary("<U3", "(1,)"), six)},
      {"DTYPE times", "DTYPE", npy(dictionary("<M8[ns]", "(1,)"), six)},
      {"N18", "DIM", with(dictionary("|u1", "(-1, 3)"))},
      {"N18 -2^70", "DIM", with(dictionary("|u1", "(-1180591620717411303424, 3)"))},
      {"N19", "DIM", with(dictionary("|u1", "(True, 3)"))},
      {"N19 2.0", "DIM", with(dictionary("|u1", "(2.0, 3)"))},
      {"N19 a string", "HEADER", with(dictionary("|u1", "('2', 3)"))},
      {"N20", "OVERFLOW", with(dictionary("|u1", "(4294967296, 4294967296)"))},
      {"N20 by the element", "OVERFLOW", with(dictionary("<f8", "(4611686018427387904,)"))},
      {"N20 2^64", "OVERFLOW", with(dictionary("|u1", "(18446744073709551616, 3)"))},
      {"N20 with a zero", "OVERFLOW", with(dictionary("|u1", "(4294967296, 4294967296, 0)"))},
      {"N21", "TRAIL", good + "x"},
      {"N21 an empty array", "TRAIL", with(dictionary("|u1", "(0, 3)"))},
  };
}

std::vector<Case> npz_corpus() {
  const std::string good = npy(dictionary("|u1", "(2, 3)"), "abcdef");
  const std::string two = zip({{"a.npy", good}, {"b.npy", good, 8}});
  const std::string zeros(100 << 20, '\0'), lie = npy(dictionary("|u1", "(2, 3)"), zeros);
  const auto changed = [&](size_t from_end) {
    std::string bytes = two;
    bytes[bytes.size() - from_end] = static_cast<char>(bytes[bytes.size() - from_end] ^ 1);
    return bytes;
  };
  const auto local = [&](size_t at) {
    std::string bytes = two;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return bytes;
  };
  return {
      {"N1", "TRUNC", ""},
      {"N2", "TRUNC", "PK\3\4"},
      {"N4 without the directory", "TRUNC", two.substr(0, two.size() / 2)},
      {"N5 a .npy", "MAGIC", good},
      {"N5 text", "MAGIC", "a,b,c\n1,2,3\n4,5,6\n7,8,9\n"},
      {"N5 as a member", "MAGIC", zip({{"a.npy", "not an array"}})},
      {"N4 as a member", "TRUNC", zip({{"a.npy", good.substr(0, good.size() - 1)}})},
      {"N15 as a member", "DTYPE", zip({{"a.npy", npy(dictionary("|O", "(1,)"), "abcdefgh"), 8}})},
      {"N20 as a member", "OVERFLOW",
       zip({{"a.npy", npy(dictionary("|u1", "(4294967296, 4294967296)"), "")}})},
      {"N21 as a member", "ZIP", zip({{"a.npy", good + "x"}})},
      {"N22 duplicates", "ZIP", zip({{"a.npy", good}, {"a.npy", good}})},
      {"N22 with and without .npy", "ZIP", zip({{"a.npy", good}, {"a", good}})},
      {"N22 the same data twice", "ZIP", zip({{"a.npy", good}, {"b.npy", good, 0, 0, -1, -1, 0}})},
      {"N22 one inside another", "ZIP",
       zip({{"a.npy", zip({{"b.npy", good}})}, {"b.npy", good, 0, 0, -1, -1, 35}})},
      {"N22 many of one name's length", "ZIP",
       [&] {
         std::vector<Member> members = {{"000.npy", good, 8}};
         for (int i = 100; i < 200; ++i)
           members.push_back({std::to_string(i) + ".npy", good, 8, 0, -1, -1, 0});
         return zip(members);
       }()},
      {"N23 CRC", "ZIP", zip({{"a.npy", good, 0, 0, -1, 1}})},
      {"N23 CRC deflated", "ZIP", zip({{"a.npy", good, 8, 0, -1, 1}})},
      {"N23 size", "ZIP", zip({{"a.npy", good, 0, 0, 5}})},
      {"N23 less than there is, deflated", "ZIP",
       zip({{"a.npy", good + "x", 8, 0, static_cast<int64_t>(good.size())}})},
      {"N23 more than there is, deflated", "ZIP",
       zip({{"a.npy", good, 8, 0, static_cast<int64_t>(good.size() + 1)}})},
      {"N23 encrypted", "ZIP", zip({{"a.npy", good, 0, 1}})},
      {"N23 method 12", "ZIP", zip({{"a.npy", good, 12}})},
      {"N23 method 99", "ZIP", zip({{"a.npy", good, 99}})},
      {"N23 no deflate data", "ZIP",
       zip({{"a.npy", good, 8, 0, -1, -1, -1, "\xff\xff not deflated at all"}})},
      {"N23 the local name", "ZIP", local(30)},
      {"N23 the local header", "ZIP", local(14)},
      {"N23 the directory's length", "ZIP", changed(10)},
      {"N23 the directory's place", "TRUNC", changed(6)},
      {"N24", "ZIP", zip({{"a.npy", lie, 8}})},
      {"N24 not declared", "ZIP", zip({{"a.npy", lie, 8, 0, static_cast<int64_t>(good.size())}})},
      {"N24 declared, not there", "ZIP", zip({{"a.npy", good, 8, 0, 1 << 30}})},
  };
}

NpyArray decode(const std::string& bytes) {
  return decode_npy({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "x");
}

}  // namespace

TEST_CASE("npy: malformed files are refused, each for its reason") {
  const TempFolder folder;
  for (const Case& c : npy_corpus()) {
    INFO(c.id);
    leave_for_program("npy", c.bytes);
    const std::string path = write(folder, "x.npy", c.bytes);
    const std::string message = refusal(c.code, [&] { read_npy(path); });
    INFO(message);
    CHECK(message.starts_with(path + ": "));
    if (c.id != "N5 a web page") {
      CHECK_THROWS_AS(decode(c.bytes), FileError);
      refusal(c.code, [&] { decode(c.bytes); });
    }
  }
}

TEST_CASE("npz: malformed files are refused, each for its reason") {
  const TempFolder folder;
  for (const Case& c : npz_corpus()) {
    INFO(c.id);
    leave_for_program("npz", c.bytes);
    const std::string path = write(folder, "x.npz", c.bytes);
    std::string message;
    CHECK(peak_mib([&] { message = refusal(c.code, [&] { read_npz(path); }); }) < 64);
    INFO(message);
    CHECK(message.starts_with(path + ": "));
  }
}

TEST_CASE("npz: a file that is cut or changed anywhere is refused or read, and nothing else") {
  const TempFolder folder;
  const std::string good = npy(dictionary("|u1", "(2, 3)"), "abcdef");
  const std::string two = zip({{"a.npy", good}, {"b.npy", good, 8}});
  for (size_t size = 0; size < two.size(); ++size) {
    INFO(size);
    CHECK_THROWS_AS(read_npz(write(folder, "x.npz", two.substr(0, size))), FileError);
  }
  uint32_t state = 1;
  const auto random = [&] { return (state = state * 1664525 + 1013904223) >> 8; };
  for (int trial = 0; trial < 2000; ++trial) {
    std::string bytes = two;
    bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      for (const auto& [name, array] : read_npz(write(folder, "x.npz", bytes)))
        CHECK(array.count() * (array.dtype[1] - '0') == static_cast<int64_t>(array.bytes.size()));
    } catch (const FileError&) {
    }
  }
}

TEST_CASE("npy: messages say what to do") {
  const TempFolder folder;
  const std::string path = write(folder, "x.npy", npy(dictionary(">f4", "(1,)"), "abcd"));
  CHECK(refusal("DTYPE", [&] {
          read_npy(path);
        }).find("'>f4' is not little-endian; convert it with astype('<f4')") != std::string::npos);
  const std::string npz =
      write(folder, "x.npz", zip({{"train/x.npy", npy(dictionary("<f4", "(2,)"), "abcd")}}));
  CHECK(refusal("TRUNC", [&] { read_npz(npz); }) ==
        npz +
            ": shape (2) implies 8 bytes, the file can hold 4; the data begin at byte 69 of member "
            "'train/x.npy'");
  refusal("MISSING", [&] { read_npy(folder / "nothing"); });
  refusal("MISSING", [&] { read_npz(folder / "nothing"); });
  refusal("MISSING", [&] { read_npz(folder.path().string()); });
}

TEST_CASE("npy: the file that numpy.save writes") {
  // numpy.save of numpy.arange(3, dtype="<i2"), and of numpy.float32(1.5), version 2.4.
  const std::string bytes = "\x93NUMPY\1\0v\0{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }"s +
                            std::string(60, ' ') + "\n\0\0\1\0\2\0"s;
  REQUIRE(bytes.size() == 134);
  const NpyArray array = decode(bytes);
  CHECK(array.dtype == "i2");
  CHECK(array.shape == std::vector<int64_t>{3});
  CHECK(array.as_int() == std::vector<int64_t>{0, 1, 2});
  const TempFolder folder;
  write_npy(folder / "x.npy", array);
  CHECK(read_all(folder / "x.npy") == bytes);

  const NpyArray scalar = decode("\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (), }"s +
                                 std::string(62, ' ') + "\n\0\0\xc0\x3f"s);
  CHECK(scalar.shape.empty());
  CHECK(scalar.count() == 1);
  CHECK(scalar.as_real() == std::vector<real>{1.5});
}

TEST_CASE("npy: other spellings of the header") {
  const std::string data = "abcdef";
  for (const std::string& header : {"{\"descr\":\"|u1\",\"fortran_order\":False,\"shape\":(2,3)}"s,
                                    "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '|u1', }"s,
                                    "{'fortran_order' : False , "
                                    "'descr' : '<u1','shape':( 2 ,3 ,) } "s})
    for (const int version : {1, 2, 3}) {
      const NpyArray array = decode(npy(header, data, version));
      CHECK(array.shape == std::vector<int64_t>{2, 3});
      CHECK(array.as_int() == std::vector<int64_t>{'a', 'b', 'c', 'd', 'e', 'f'});
    }
}

TEST_CASE("npy: every type of element") {
  const auto read = [](const std::string& type, const std::string& data) {
    const auto count = std::to_string(data.size() / static_cast<size_t>(type[2] - '0'));
    return decode(npy(dictionary(type, "(" + count + ",)"), data));
  };
  CHECK(read("|b1", "\0\1"s).as_int() == std::vector<int64_t>{0, 1});
  CHECK(read("|u1", "\0\xff"s).as_int() == std::vector<int64_t>{0, 255});
  CHECK(read("|i1", "\0\xff"s).as_int() == std::vector<int64_t>{0, -1});
  for (const int size : {2, 4, 8}) {
    const std::string name = std::to_string(size), least = std::string(static_cast<size_t>(size), '\xff');
    CHECK(read("<i" + name, little_endian(258, size) + least).as_int() == std::vector<int64_t>{258, -1});
    CHECK(read("<u" + name, little_endian(258, size)).as_real() == std::vector<real>{258});
  }
  CHECK(read("<u4", "\xff\xff\xff\xff").as_int() == std::vector<int64_t>{4294967295});
  CHECK_THROWS_AS(read("<u8", "\xff\xff\xff\xff\xff\xff\xff\xff").as_int(), ValueError);
  // 1.5, -2, the least subnormal, infinity
  const std::vector<real> halves = read("<f2", "\0\x3e\0\xc0\1\0\0\x7c"s).as_real();
  CHECK(halves[0] == real(1.5));
  CHECK(halves[1] == real(-2));
  CHECK(halves[2] == real(0x1p-24));
  CHECK(std::isinf(halves[3]));
  CHECK(read("<f4", "\0\0\x40\xc0"s).as_int() == std::vector<int64_t>{-3});
  CHECK(read("<f8", "\0\0\0\0\0\0\xf8\x3f"s).as_real() == std::vector<real>{1.5});
  CHECK_THROWS_AS(read("<f8", "\0\0\0\0\0\0\xf8\x3f"s).as_int(), ValueError);
  CHECK_THROWS_AS(read("<f4", "\0\0\xc0\x7f"s).as_int(), ValueError);
}

TEST_CASE("npy: Fortran order is transposed") {
  const NpyArray matrix = decode(npy(dictionary("|u1", "(2, 3)", true), "adbecf"));
  CHECK(std::string(matrix.bytes.begin(), matrix.bytes.end()) == "abcdef");
  // x[i, j, k] lies at i + 2 j + 6 k.
  std::string values;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) values += little_endian(static_cast<uint64_t>(100 * i + 10 * j + k), 2);
  CHECK(decode(npy(dictionary("<i2", "(2, 3, 2)", true), values)).as_int() ==
        std::vector<int64_t>{0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121});
  CHECK(decode(npy(dictionary("<i2", "()", true), "\7\0"s)).as_int() == std::vector<int64_t>{7});
  CHECK(decode(npy(dictionary("<i2", "(0, 3)", true), "")).count() == 0);
}

TEST_CASE("npz: members are read, stored and deflated, whatever their names") {
  const TempFolder folder;
  const std::string a = npy(dictionary("|u1", "(2,)"), "ab"), b = npy(dictionary("|u1", "(1, 2)"), "cd");
  const auto arrays =
      read_npz(write(folder, "x.npz", zip({{"b.npy", a}, {"../../a.npy", b, 8}, {"plain", a, 8}})));
  REQUIRE(arrays.size() == 3);
  CHECK(arrays.at("b").as_int() == std::vector<int64_t>{'a', 'b'});
  CHECK(arrays.at("../../a").as_int() == std::vector<int64_t>{'c', 'd'});
  CHECK(arrays.at("plain").shape == std::vector<int64_t>{2});
  CHECK(read_npz(write(folder, "none.npz", zip({}))).empty());
}

TEST_CASE("npz: what was written is read back, and the bytes are the same each time") {
  const TempFolder folder;
  const std::vector<real> numbers = {real(0.5), -1, real(1e-30), 4, 5, 6};
  const std::vector<int64_t> counts = {7, -8};
  const std::map<std::string, NpyArray> arrays = {{"net.weight", npy_array({2, 3}, numbers)},
                                                  {"count", npy_array({2}, counts)},
                                                  {"empty", npy_array({0, 3}, std::span<const real>())}};
  write_npz(folder / "x.npz", arrays);
  write_npz(folder / "y.npz", arrays);
  CHECK(read_all(folder / "x.npz") == read_all(folder / "y.npz"));
  const auto again = read_npz(folder / "x.npz");
  REQUIRE(again.size() == 3);
  CHECK(again.at("net.weight").shape == std::vector<int64_t>{2, 3});
  CHECK(again.at("net.weight").as_real() == numbers);
  CHECK(again.at("count").as_int() == counts);
  CHECK(again.at("empty").shape == std::vector<int64_t>{0, 3});
  CHECK_THROWS_AS(write_npy(folder / "z.npy", {"u1", {3}, {1, 2}}), ShapeError);
  CHECK_THROWS_AS(write_npy(folder / "z.npy", {"O", {1}, {1}}), ValueError);
}
