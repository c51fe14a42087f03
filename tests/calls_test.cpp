// What holds in every call of a module, also in those that users define, and for constant models and lists.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

#include "temp_folder.h"

using namespace ballast;

namespace {

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// A module with two inputs, so with a call of its own.
struct Cell : Module {
  Linear ih{3, 4}, hh{4, 4};
  BatchNorm1d norm{4};
  Tensor operator()(Tensor x, Tensor h) {
    const CallScope scope(*this);
    check<ShapeError>(x.rank() == 2, "x is {}; it must be (N, 3)", x.shape());
    return tanh(norm(ih(std::move(x)) + hh(std::move(h))));
  }
  void visit(Visitor& v) override { v("ih", ih), v("hh", hh), v("norm", norm); }
  std::string describe() const override { return "Cell"; }
};

struct Recurrent : Module {
  Cell cell;
  Tensor forward(Tensor x) override { return cell(std::move(x), zeros({2, 4})); }
  void visit(Visitor& v) override { v("cell", cell); }
  std::string describe() const override { return "Recurrent"; }
};

std::vector<std::string> names(const Parts& parts) {
  std::vector<std::string> found;
  for_each_parameter(parts, [&](const std::string& path, const Parameter&) { found.push_back(path); });
  for_each_buffer(parts, [&](const std::string& path, const Buffer&) { found.push_back(path); });
  return found;
}

template <class O>
concept is_called = requires(O& optimizer) {
  optimizer(Tensor());
};

}  // namespace

TEST_CASE("a shape error in a call of one's own says where") {
  Recurrent net;
  CHECK(message([&] {
          net(zeros({2, 5}));
        }) == "ShapeError in cell.ih (Linear 3 -> 4): linear: x is (2, 5); its last dimension must be 3");
  CHECK(message([&] {
          net.cell(zeros({2, 5}), zeros({2, 4}));
        }) == "ShapeError in ih (Linear 3 -> 4): linear: x is (2, 5); its last dimension must be 3");
  CHECK(message([&] { net(zeros({3})); }) == "ShapeError in cell (Cell): x is (3); it must be (N, 3)");
  CHECK(message([&] {
          linear(zeros({2}), net.cell.ih.weight, {});
        }).starts_with("linear: x is (2)"));  // no call
}

TEST_CASE("freezing holds in a call of one's own") {
  const auto batches = [](bool statistics, bool mode) {
    Cell cell;
    cell.frozen = {.statistics = statistics, .mode = mode};
    Tape tape;
    cell(randn({2, 3}), randn({2, 4}));
    return cell.norm.num_batches_tracked.value;
  };
  CHECK(batches(false, false) == 1);
  CHECK(batches(true, false) == 0);
  CHECK(batches(false, true) == 0);
}

TEST_CASE("a buffer that visit forgot is noticed in a call of one's own, and after the model moved") {
  struct Forgetful : Module {
    Linear listed{3, 4};
    BatchNorm1d forgotten{4};
    Tensor operator()(Tensor x, int) {
      const CallScope scope(*this);
      return forgotten(listed(std::move(x)));
    }
    void visit(Visitor& v) override { v("listed", listed); }
  };
  struct Around : Module {
    Forgetful inner;
    void visit(Visitor& v) override { v("inner", inner); }
  };
  Around net;
  CHECK_NOTHROW(check_buffers_listed(net));
  {
    Tape tape;
    net.inner(randn({2, 3}), 0);
  }
  CHECK_THROWS_AS(check_buffers_listed(net), UsageError);
  const Around moved = std::move(net);
  CHECK_THROWS_AS(check_buffers_listed(moved), UsageError);
  const Around copy = moved;  // its buffers have been updated by nobody
  CHECK_NOTHROW(check_buffers_listed(copy));
}

TEST_CASE("models that trained and moved away don't stand in the way of saving those in their place") {
  const TempFolder folder;
  std::vector<Sequential> all;
  for (int fold = 0; fold < 3; ++fold) {
    Sequential net(Linear(8, 16), BatchNorm1d(16), ReLU(), Linear(16, 3));
    {
      Tape tape;
      tape.backward(sum(net(randn({4, 8}))));
    }
    CHECK_NOTHROW(save(folder / "model.safetensors", net));
    all.push_back(std::move(net));
    CHECK_NOTHROW(save(folder / "moved.safetensors", all.back()));
  }
}

TEST_CASE("a layer that was replaced is no buffer that visit forgot") {
  struct Net : Module {
    BatchNorm1d norm{4};
    Tensor forward(Tensor x) override { return norm(std::move(x)); }
    void visit(Visitor& v) override { v("norm", norm); }
  } net;
  const auto train = [&](int64_t width) {
    Tape tape;
    net(randn({3, width}));
  };
  train(4);
  const Tensor kept = net.norm.running_mean;
  net.norm = BatchNorm1d(5);
  train(5);
  CHECK_NOTHROW(check_buffers_listed(net));
}

TEST_CASE("a constant model is saved, counted, listed and printed") {
  const TempFolder folder;
  const Sequential net(Linear(2, 3), BatchNorm1d(3));
  CHECK(parameter_count(net) == 2 * 3 + 3 + 3 + 3);
  CHECK(names(net) == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean",
                                               "1.running_var"});
  std::string described;
  for_each_module(net, [&](const std::string&, const Module& m) { described += m.describe() + ", "; });
  CHECK(described == "Sequential of 2, Linear 2 -> 3, BatchNorm1d 3, ");
  CHECK(net[0].describe() == "Linear 2 -> 3");
  save(folder / "net.safetensors", net);
  save(folder / "both.safetensors", {{"model", net}, {"other", net}});
  Sequential other(Linear(2, 3), BatchNorm1d(3));
  load(folder / "net.safetensors", other);
  const auto weight = [](const Module& layer) { return dynamic_cast<const Linear&>(layer).weight.data()[0]; };
  CHECK(weight(other[0]) == weight(net[0]));
}

TEST_CASE("lists of modules and parameters are named by numbers") {
  struct Net : Module {
    std::vector<Linear> blocks;
    std::vector<std::unique_ptr<Module>> heads;
    std::array<BatchNorm1d, 2> norms{BatchNorm1d(2), BatchNorm1d(2)};
    std::vector<Parameter> scales;
    Net() {
      blocks.emplace_back(2, 2), blocks.emplace_back(2, 2, LinearOptions{.bias = false});
      heads.push_back(std::make_unique<Linear>(2, 1)), heads.push_back(nullptr);
      scales.emplace_back(ones({1}));
    }
    void visit(Visitor& v) override {
      v("blocks", blocks), v("heads", heads), v("norms", norms), v("scales", scales);
    }
  } net;
  CHECK(names(net) == std::vector<std::string>{"blocks.0.weight", "blocks.0.bias", "blocks.1.weight",
                                               "heads.0.weight", "heads.0.bias", "norms.0.weight",
                                               "norms.0.bias", "norms.1.weight", "norms.1.bias", "scales.0",
                                               "norms.0.running_mean", "norms.0.running_var",
                                               "norms.1.running_mean", "norms.1.running_var"});
}

TEST_CASE("an optimizer has parts but is no module") {
  CHECK(is_called<Linear>);
  CHECK_FALSE(is_called<SGD>);
  const TempFolder folder;
  Linear net(2, 2);
  Adam optimizer(net);
  save(folder / "state.safetensors", {{"model", net}, {"optimizer", optimizer}});
  CHECK_NOTHROW(load(folder / "state.safetensors", {{"model", net}, {"optimizer", optimizer}}));
}

TEST_CASE("a class derived from a layer that fuses is never passed over") {
  struct Negative : Linear {
    using Linear::Linear;
    Tensor forward(Tensor x) override { return -Linear::forward(std::move(x)); }
  };
  Negative layer(4, 4);
  const Tensor x = randn({3, 4});
  const Tensor expected = relu(-linear(x, layer.weight, layer.bias));
  const auto same = [&](const Tensor& y) {
    for (int64_t i = 0; i < y.count(); ++i) CHECK(y.data()[i] == expected.data()[i]);
  };
  same(layer(x, then::relu));
  Linear& as_base = layer;
  same(as_base(x, then::relu));
  Sequential net(layer, ReLU());
  same(net(x));
}

TEST_CASE("a probed layer that fuses runs once and is recorded once") {
  struct Watch : CallObserver {
    int calls = 0;
    void called(const Module&, const Tensor&, const Tensor&) override { ++calls; }
  };
  Sequential net(Linear(4, 4), RMSNorm(4), ReLU());
  const Tensor x = randn({3, 4});
  const auto recorded = [&] {
    Tape tape;
    net(x);
    return tape.size();
  };
  const size_t fused = recorded();
  const Watch watch;
  CHECK(recorded() == fused + 1);  // the ReLU by itself
  CHECK(watch.calls == 4);
}

TEST_CASE("a Sequential has no layer beyond its last one") {
  Sequential net(Linear(2, 2), ReLU());
  CHECK(message([&] { net[7]; }) == "Sequential: there is no layer 7; it has 2");
  CHECK(message([&] { net.erase(2); }) == "Sequential: there is no layer 2; it has 2");
  CHECK(net.size() == 2);
  net.erase(1);
  CHECK(net.size() == 1);
}

TEST_CASE("an absent parameter says so") {
  Linear layer(3, 4, {.bias = false});
  CHECK_THROWS_AS(layer.bias.set_trainable(false), UsageError);
  CHECK_THROWS_AS(layer.bias.zero_grad(), UsageError);
  CHECK(layer.bias.grad().empty());
}
