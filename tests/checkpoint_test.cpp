#include <ballast/data/checkpoint.h>

#include <ballast/data/safetensors.h>
#include <doctest/doctest.h>

#include <cstring>

#include "temp_folder.h"

using namespace ballast;

namespace {

Tensor counting(const Shape& shape, real first) {
  Tensor values(shape);
  for (int64_t i = 0; i < values.count(); ++i) values.data()[i] = first + static_cast<real>(i);
  return values;
}

/// A layer with one part of each kind; its bias may be absent.
struct Layer : Module {
  Parameter weight, bias;
  Buffer mean;
  Counter batches;

  Layer(const Shape& shape, real first, bool with_bias = true)
      : weight(counting(shape, first)), mean(counting({shape[0]}, first + 100)) {
    if (with_bias) bias = Parameter(counting({shape[0]}, first + 50));
    batches.value = static_cast<int64_t>(first) + 7;
  }
  void visit(Visitor& v) override {
    v("weight", weight), v("bias", bias), v("mean", mean), v("batches", batches);
  }
};

struct Net : Module {
  Layer a, b;
  explicit Net(real first = 0, int64_t width = 2)
      : a({width, 3}, first), b({4, width}, first + 1000, false) {}
  void visit(Visitor& v) override { v("a", a), v("b", b); }
};

/// Every value of the module, in the order of visit.
struct Values : Visitor {
  explicit Values(Module& module) { module.visit(*this); }
  std::vector<double> all;
  void add(const Tensor& x) { all.insert(all.end(), x.values().begin(), x.values().end()); }
  void parameter(const std::string&, Parameter& p) override { add(p.value()); }
  void buffer(const std::string&, Buffer& b) override { add(b.value()); }
  void counter(const std::string&, Counter& c) override { all.push_back(static_cast<double>(c.value)); }
};

std::vector<double> values(Module& module) { return Values(module).all; }

std::vector<std::string> names(const std::string& path) {
  const SafetensorsFile file(path);
  std::vector<std::string> result;
  for (const auto& [name, entry] : file.entries()) {
    result.push_back(name + " " + std::string(dtype_name(entry.dtype)) + " " + entry.shape.str());
  }
  return result;
}

/// A file of one tensor, a scalar or a row, stored as `dtype`, written byte for byte.
template <class Stored>
void write_tensor(const std::string& path, const std::string& name, const char* dtype,
                  const std::vector<Stored>& stored) {
  const size_t size = stored.size() * sizeof(Stored);
  const std::string shape = stored.size() == 1 ? "" : std::to_string(stored.size());
  const std::string header = fmt::format(R"({{"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[0,{}]}}}})",
                                         name, dtype, shape, size);
  const uint64_t length = header.size();
  write_bytes(path, std::string(reinterpret_cast<const char*>(&length), 8) + header +
                        std::string(reinterpret_cast<const char*>(stored.data()), size));
}

struct Single : Module {
  Parameter weight;
  explicit Single(const Shape& shape) : weight(zeros(shape)) {}
  void visit(Visitor& v) override { v("weight", weight); }
};

struct Tied : Module {
  Single encoder{{2}}, decoder{{2}};
  Tied() { decoder.weight.tie(encoder.weight); }
  void visit(Visitor& v) override { v("encoder", encoder), v("decoder", decoder); }
};

struct Forgetful : Module {
  Parameter weight{ones({1})};
  Buffer mean{zeros({3})};
  Tensor forward(Tensor x) override {
    mean.update()[0] += 1;
    return x;
  }
  void visit(Visitor& v) override { v("weight", weight); }
};

}  // namespace

TEST_CASE("checkpoint: names, types and shapes are a state_dict's") {
  const TempFolder folder;
  Net net;
  save(folder / "net.safetensors", net);
  const std::string real_type = sizeof(real) == 8 ? " F64 " : " F32 ";
  CHECK(names(folder / "net.safetensors") ==
        std::vector<std::string>{"a.batches I64 ()", "a.bias" + real_type + "(2)",
                                 "a.mean" + real_type + "(2)", "a.weight" + real_type + "(2, 3)",
                                 "b.batches I64 ()", "b.mean" + real_type + "(4)",
                                 "b.weight" + real_type + "(4, 2)"});
}

TEST_CASE("checkpoint: what is saved loads back to the bit, in place") {
  const TempFolder folder;
  const std::string path = folder / "net.safetensors";
  Net saved(real(0.1)), loaded(500);
  save(path, saved, {{"epoch", "3"}});
  CHECK(values(saved) != values(loaded));
  const real* const where = loaded.a.weight.data();
  const LoadReport report = load(path, loaded);
  CHECK(values(saved) == values(loaded));
  CHECK(loaded.a.weight.data() == where);
  CHECK(report.matched.size() == 7);
  CHECK(report.missing.empty());
  CHECK(SafetensorsFile(path).metadata() ==
        std::map<std::string, std::string>{{"epoch", "3"}, {"format", "pt"}});
}

TEST_CASE("checkpoint: loads every floating-point type") {
  const TempFolder folder;
  const std::string path = folder / "w.safetensors";
  Single module({2});
  const auto loaded = [&] {
    load(path, module);
    return values(module);
  };
  write_tensor<float>(path, "weight", "F32", {1.5f, -2});
  CHECK(loaded() == std::vector<double>{1.5, -2});
  write_tensor<double>(path, "weight", "F64", {2.5, -3});
  CHECK(loaded() == std::vector<double>{2.5, -3});
  write_tensor<uint16_t>(path, "weight", "F16", {0x3C00, 0xC000});
  CHECK(loaded() == std::vector<double>{1, -2});
  write_tensor<uint16_t>(path, "weight", "BF16", {0x4040, 0xC080});
  CHECK(loaded() == std::vector<double>{3, -4});
}

TEST_CASE("checkpoint: a counter may have been cast like every other tensor of the file") {
  const TempFolder folder;
  const std::string path = folder / "c.safetensors";
  struct Counting : Module {
    Counter num_batches_tracked;
    void visit(Visitor& v) override { v("norm.num_batches_tracked", num_batches_tracked); }
  } module;
  const auto loaded = [&] {
    load(path, module);
    return module.num_batches_tracked.value;
  };
  const auto write = [&](const char* dtype, auto value) {
    write_tensor<decltype(value)>(path, "norm.num_batches_tracked", dtype, {value});
  };
  write("F32", 3.0f);
  CHECK(loaded() == 3);
  write("F64", 4.0);
  CHECK(loaded() == 4);
  write("F16", uint16_t{0x4500});
  CHECK(loaded() == 5);
  write("BF16", uint16_t{0x40C0});
  CHECK(loaded() == 6);
  write("F32", 2.5f);
  CHECK_THROWS_WITH_AS(load(path, module), doctest::Contains("holds 2.5, where whole numbers"), FileError);
  CHECK(module.num_batches_tracked.value == 6);
}

TEST_CASE("checkpoint: num_batches_tracked may be missing, and keeps its value; other counters may not") {
  const TempFolder folder;
  const std::string path = folder / "old.safetensors";
  struct Norm : Module {
    Parameter weight{zeros({2})};
    Counter counter;
    std::string name;
    explicit Norm(std::string counter_name) : name(std::move(counter_name)) { counter.value = 7; }
    void visit(Visitor& v) override { v("weight", weight), v(name, counter); }
  };
  const Tensor weight = ones({2});
  write_safetensors(path, {{"weight", {2}, weight.data()}});
  for (const char* name : {"num_batches_tracked", "norm.num_batches_tracked"}) {
    Norm norm(name);
    CHECK(load(path, norm).missing.empty());
    CHECK(values(norm) == std::vector<double>{1, 1, 7});
  }
  for (const char* name : {"step", "my_num_batches_tracked"}) {
    Norm norm(name);
    CHECK_THROWS_WITH_AS(load(path, norm), doctest::Contains("missing in the file (1)"), FileError);
  }
}

TEST_CASE("checkpoint: another model's file is refused with every difference, and nothing is loaded") {
  const TempFolder folder;
  const std::string path = folder / "net.safetensors";
  struct Other : Module {
    Layer a{{5, 3}, 0, false}, c{{1, 1}, 0, false};
    void visit(Visitor& v) override { v("a", a), v("c", c); }
  } other;
  Net net;
  save(path, net);
  const std::vector<double> before = values(other);
  const std::string message =
      path +
      ": this is not a checkpoint of this model; "
      "missing in the file (3): 'c.weight', 'c.mean', 'c.batches'; "
      "not in the model (4): 'a.bias', 'b.batches', 'b.mean', 'b.weight'; "
      "of another shape (2): 'a.weight': file (2, 3), model (5, 3), 'a.mean': file (2), model (5); "
      "build the model that was saved, or load what fits with strict = false";
  CHECK_THROWS_WITH_AS(load(path, other), message.c_str(), FileError);
  CHECK(values(other) == before);

  const LoadReport report = load(path, other, {.strict = false});
  CHECK(report.matched == std::vector<std::string>{"a.batches"});
  CHECK(report.missing == std::vector<std::string>{"c.weight", "c.mean", "c.batches"});
  CHECK(report.unexpected == std::vector<std::string>{"a.bias", "b.batches", "b.mean", "b.weight"});
  CHECK(report.mismatched.size() == 2);
  CHECK(other.a.batches.value == 7);
}

TEST_CASE("checkpoint: a tensor that can't be read leaves the ones before it as they were") {
  const TempFolder folder;
  const std::string path = folder / "pair.safetensors";
  struct Pair : Module {
    Parameter first{zeros({2})};
    Counter second;
    void visit(Visitor& v) override { v("first", first), v("second", second); }
  } pair;
  const Tensor one = ones({2}), scalar = full({}, real(0.5));
  write_safetensors(path,
                    {{"first", {2}, one.data()}, {"second", {}, scalar.data()}});  // a counter must be whole
  CHECK_THROWS_WITH_AS(load(path, pair), doctest::Contains("'second'"), FileError);
  CHECK(values(pair) == std::vector<double>{0, 0, 0});
}

TEST_CASE("checkpoint: a shared parameter is saved under each name and may come under one") {
  const TempFolder folder;
  const std::string path = folder / "tied.safetensors";
  Tied tied;
  tied.encoder.weight.assign(counting({2}, 3));
  save(path, tied);
  CHECK(SafetensorsFile(path).entries().size() == 2);
  Tied loaded;
  load(path, loaded);
  CHECK(values(loaded) == std::vector<double>{3, 4, 3, 4});

  const Tensor weight = counting({2}, 5);
  write_safetensors(path, {{"decoder.weight", {2}, weight.data()}});
  load(path, loaded);
  CHECK(values(loaded) == std::vector<double>{5, 6, 5, 6});
  Net net;
  CHECK_THROWS_WITH_AS(load(path, net), doctest::Contains("missing"), FileError);
}

TEST_CASE("checkpoint: several modules share a file under their prefixes") {
  const TempFolder folder;
  const std::string path = folder / "state.safetensors";
  Net net(1), other_net(300);
  Layer optimizer({2, 2}, 2), other_optimizer({2, 2}, 400);
  save(path, {{"model", net}, {"optimizer", optimizer}});
  CHECK(SafetensorsFile(path).contains("model.a.weight"));
  CHECK(SafetensorsFile(path).contains("optimizer.weight"));
  load(path, {{"model", other_net}, {"optimizer", other_optimizer}});
  CHECK(values(net) == values(other_net));
  CHECK(values(optimizer) == values(other_optimizer));
  CHECK_THROWS_WITH_AS(load(path, net), doctest::Contains("not a checkpoint of this model"), FileError);
  CHECK_THROWS_WITH_AS(load(path, {{"model", net}}), doctest::Contains("not in the model (4): 'optimizer."),
                       FileError);
  CHECK_THROWS_WITH_AS(save(path, {{"model", net}, {"model", other_net}}),
                       doctest::Contains("two tensors are named"), FileError);
}

TEST_CASE("checkpoint: an updated buffer that visit doesn't list is not lost silently") {
  const TempFolder folder;
  Forgetful module;
  save(folder / "a.safetensors", module);
  module(ones({1}));
  CHECK_THROWS_WITH_AS(save(folder / "b.safetensors", module), doctest::Contains("list"), UsageError);
  CHECK(!std::filesystem::exists(folder / "b.safetensors"));
}

TEST_CASE("checkpoint: a part named __metadata__ can't be saved") {
  const TempFolder folder;
  struct Odd : Module {
    Parameter weight{ones({1})};
    void visit(Visitor& v) override { v("__metadata__", weight); }
  } odd;
  CHECK_THROWS_WITH_AS(save(folder / "a.safetensors", odd),
                       doctest::Contains("a tensor can't be named __metadata__"), FileError);
}
