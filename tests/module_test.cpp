// The promises about parts: one list of them, identity of parameters and buffers, who owns what.
#include <doctest/doctest.h>

#include <memory>

#include <ballast/ballast.h>

using namespace ballast;

namespace {

struct Net : Module {
  Linear fc1{4, 3};
  BatchNorm1d norm{3};
  Sequential rest{ReLU(), Linear(3, 2)};
  Tensor forward(Tensor x) override { return rest(norm(fc1(std::move(x)))); }
  void visit(Visitor& v) override { v("fc1", fc1), v("norm", norm), v("rest", rest); }
};

std::vector<std::string> names(Module& module) {
  std::vector<std::string> found;
  for_each_parameter(module, [&](const std::string& path, Parameter&) { found.push_back(path); });
  for_each_buffer(module, [&](const std::string& path, Buffer&) { found.push_back(path); });
  for_each_counter(module, [&](const std::string& path, Counter&) { found.push_back(path); });
  return found;
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

void train_step(Module& net, Optimizer& optimizer) {
  Tape tape;
  const Tensor y = net(randn({5, 4}));
  tape.backward(sum(y * y));
  optimizer.step();
}

}  // namespace

TEST_CASE("visit gives the paths of a PyTorch state_dict") {
  Net net;
  CHECK(names(net) == std::vector<std::string>{"fc1.weight", "fc1.bias", "norm.weight", "norm.bias",
                                               "rest.1.weight", "rest.1.bias", "norm.running_mean",
                                               "norm.running_var", "norm.num_batches_tracked"});
  CHECK(parameter_count(net) == 4 * 3 + 3 + 3 + 3 + 3 * 2 + 2);
  Linear without_bias(4, 3, {.bias = false});
  CHECK(names(without_bias) == std::vector<std::string>{"weight"});
}

TEST_CASE("a shape error names the layer, the shapes and the remedy") {
  Net net;
  CHECK(message([&] {
          net(zeros({32, 5}));
        }) == "ShapeError in fc1 (Linear 4 -> 3): linear: x is (32, 5); its last dimension must be 4");
  CHECK(message([&] {
          net.fc1(zeros({32, 5}));
        }) == "ShapeError in Linear 4 -> 3: linear: x is (32, 5); its last dimension must be 4");
  Sequential deep(Linear(4, 4), Sequential(Linear(4, 4), Linear(5, 1)));
  CHECK(message([&] {
          deep(zeros({1, 4}));
        }).starts_with("ShapeError in 1.1 (Linear 5 -> 1): linear: x is (1, 4)"));
  const std::string one_value = message([&] {
    Tape tape;
    net(zeros({1, 4}));
  });
  CHECK(one_value.starts_with(
      "ShapeError in norm (BatchNorm1d 3): batch_norm: x is (1, 3): one value per channel"));
  CHECK(one_value.find("use LayerNorm or GroupNorm") != std::string::npos);
}

TEST_CASE("copying a module copies deeply, moving keeps identity") {
  Net net;
  Net copy = net;
  copy.fc1.weight.data()[0] += 1;
  CHECK(copy.fc1.weight.data()[0] != net.fc1.weight.data()[0]);
  {
    Tape tape;
    copy(ones({5, 4}));
  }
  CHECK(net.norm.running_mean.data()[0] == 0);
  CHECK(net.norm.num_batches_tracked.value == 0);
  SGD optimizer(net, {.lr = 0.1});
  Net moved = std::move(net);
  const real before = moved.fc1.weight.data()[0];
  train_step(moved, optimizer);
  CHECK(moved.fc1.weight.data()[0] != before);
}

TEST_CASE("assigning a module writes in place, so that its optimizer goes on training it") {
  Net net, other;
  SGD optimizer(net, {.lr = 0.1});
  net = other;
  CHECK(net.fc1.weight.data()[0] == other.fc1.weight.data()[0]);
  train_step(net, optimizer);
  CHECK(net.fc1.weight.data()[0] != other.fc1.weight.data()[0]);
}

TEST_CASE("a new model assigned to one that is trained goes on being trained") {
  Net net;
  SGD optimizer(net, {.lr = 0.1});
  train_step(net, optimizer);
  const StorageRef identity = net.fc1.weight.value().storage();
  const StorageRef mean = net.norm.running_mean.value().storage();
  net = Net();
  CHECK(net.fc1.weight.value().storage() == identity);
  CHECK(net.norm.running_mean.value().storage() == mean);
  CHECK(net.norm.running_mean.data()[0] == 0);
  const real before = net.fc1.weight.data()[0];
  train_step(net, optimizer);
  CHECK(net.fc1.weight.data()[0] != before);
  Sequential layers(Linear(2, 2), ReLU());
  auto& layer = dynamic_cast<Linear&>(layers[0]);
  layers = Sequential(Linear(2, 2), ReLU());
  CHECK(&layers[0] == &layer);
  layers = Sequential(ReLU());
  CHECK(layers.size() == 1);
}

TEST_CASE("assigning takes over whether a parameter trains, and drops a gradient of the old value") {
  Linear net(2, 2), other(2, 2);
  other.weight.set_trainable(false);
  {
    Tape tape;
    tape.backward(sum(net(ones({1, 2}))));
  }
  net = other;
  CHECK_FALSE(net.weight.trainable());
  CHECK(net.bias.trainable());
  CHECK(net.bias.grad().empty());
}

TEST_CASE("an optimizer whose parameters don't take part says so") {
  const auto train = [](Net& trained, Optimizer& optimizer) {
    return message([&] { train_step(trained, optimizer); });
  };
  Net net;
  SUBCASE("the model was copied") {
    Net copy = net;
    SGD optimizer(copy, {.lr = 0.5});
    CHECK(train(net, optimizer).starts_with("step: none of the optimizer's 6 parameters (fc1.weight, ...)"));
  }
  SUBCASE("two models were swapped") {
    Net other;
    SGD optimizer(net, {.lr = 0.5});
    std::swap(net, other);
    CHECK(train(net, optimizer).find("if the model was copied") != std::string::npos);
    CHECK(train(other, optimizer) == "nothing was thrown");
  }
  SUBCASE("everything is frozen") {
    SGD optimizer(net, {.lr = 0.5});
    freeze(net, "*");
    const std::string text = message([&] { optimizer.step(); });
    CHECK(text.ends_with("all of them are frozen"));
  }
  SUBCASE("a model without any optimizer may take part in passes of its own") {
    SGD optimizer(net, {.lr = 0.5});
    Net other;
    Tape tape;
    tape.backward(sum(other(randn({5, 4}))));
    CHECK(train(net, optimizer) == "nothing was thrown");
  }
}

TEST_CASE("initializing and loading write in place") {
  Net net;
  SGD optimizer(net, {.lr = 0.1});
  const real* place = net.fc1.weight.data();
  initialize(net, "kaiming_normal");
  CHECK(net.fc1.weight.data() == place);
  CHECK(net.fc1.bias.data()[0] == 0);
  CHECK(net.norm.weight.data()[0] == 1);
  CHECK(message([&] { initialize(net, "he"); }) ==
        "unknown initializer 'he'; known are default, kaiming_normal, kaiming_uniform, xavier_normal, "
        "xavier_uniform");
}

TEST_CASE("an operation never overwrites a parameter, a buffer, or what somebody else holds") {
  Parameter w(tensor({-1, 2}));
  relu(w);
  CHECK(w.data()[0] == -1);
  Buffer b(tensor({-1, 2}));
  relu(b);
  CHECK(b.data()[0] == -1);
  Tensor x = tensor({-1, 2});
  relu(x);
  CHECK(x(0) == -1);
  const real* place = x.data();
  CHECK(relu(std::move(x)).data() == place);  // nobody else holds it
}

TEST_CASE("model and optimizer may die in either order") {
  auto net = std::make_unique<Net>();
  {
    SGD optimizer(*net, {.lr = 0.1});
    train_step(*net, optimizer);
  }
  CHECK_NOTHROW((*net)(ones({5, 4})));
  SGD optimizer(*net, {.lr = 0.1});
  train_step(*net, optimizer);
  Tensor kept = net->fc1.weight;
  const real value = kept.data()[0];
  net.reset();
  CHECK(kept.data()[0] == value);
  kept = {};
  CHECK(message([&] { optimizer.step(); }).ends_with("make another one for the model that is trained"));
}

TEST_CASE("a second optimizer takes the parameters over, and the first one says so") {
  Net net;
  SGD first(net, {.lr = 0.1});
  SGD second(net, {.lr = 0.1});
  train_step(net, second);
  CHECK(message([&] {
          first.step();
        }).starts_with("step: parameter 'fc1.weight' has been taken over by another optimizer"));
}

TEST_CASE("a shared parameter is stepped once") {
  struct Tied : Module {
    Linear in{3, 3, {.bias = false}}, out{3, 3, {.bias = false}};
    Tied() { out.weight.tie(in.weight); }
    Tensor forward(Tensor x) override { return out(in(std::move(x))); }
    void visit(Visitor& v) override { v("in", in), v("out", out); }
  } net;
  CHECK(parameter_count(net) == 9);
  SGD optimizer(net, {.lr = 1});
  net.in.weight.assign(tensor(std::vector<real>{1, 0, 0, 0, 1, 0, 0, 0, 1}, {3, 3}));
  Tape tape;
  tape.backward(sum(net(ones({1, 3}))));
  CHECK(net.in.weight.grad()(0, 0) == 2);  // once through each layer
  optimizer.step();
  CHECK(net.in.weight.data()[0] == -1);
  CHECK(net.out.weight.data()[0] == -1);
}

TEST_CASE("a parameter that visit forgot makes step throw") {
  struct Forgetful : Module {
    Linear listed{4, 3}, forgotten{3, 2};
    Tensor forward(Tensor x) override { return forgotten(listed(std::move(x))); }
    void visit(Visitor& v) override { v("listed", listed); }
  } net;
  SGD optimizer(net, {.lr = 0.1});
  CHECK(message([&] { train_step(net, optimizer); })
            .starts_with("step: backward reached a parameter that no optimizer owns, through linear, with a "
                         "parameter of shape (2"));
  CHECK_THROWS_AS(optimizer.step(), UsageError);  // as long as the gradient is there
  zero_grad(net);
  zero_grad(net.forgotten);
  net.forgotten.weight.set_trainable(false);
  net.forgotten.bias.set_trainable(false);
  CHECK_NOTHROW(train_step(net, optimizer));
}

TEST_CASE("a buffer that visit forgot makes saving throw") {
  struct Forgetful : Module {
    Linear listed{4, 3};
    BatchNorm1d forgotten{3};
    Tensor forward(Tensor x) override { return forgotten(listed(std::move(x))); }
    void visit(Visitor& v) override { v("listed", listed); }
  } net;
  CHECK_NOTHROW(check_buffers_listed(net));
  {
    Tape tape;
    net(ones({5, 4}));
  }
  CHECK_THROWS_AS(check_buffers_listed(net), UsageError);
  Net complete;
  {
    Tape tape;
    complete(ones({5, 4}));
  }
  CHECK_NOTHROW(check_buffers_listed(complete));
}

TEST_CASE("a GAN's generator trains through the discriminator without moving it") {
  Linear generator(2, 2), discriminator(2, 1);
  SGD train_generator(generator, {.lr = 0.1}),
      train_discriminator(discriminator, {.lr = 0.1, .momentum = 0.9});
  const Tensor noise = ones({4, 2});
  const Tensor before = discriminator.weight.value().clone(),
               generator_before = generator.weight.value().clone();
  {
    Tape tape;
    tape.backward(sum(discriminator(generator(noise))));
    train_generator.step();
    train_discriminator.zero_grad();
  }
  CHECK_THROWS_AS(train_discriminator.step(), UsageError);  // no gradient is left
  for (int64_t i = 0; i < 2; ++i) CHECK(discriminator.weight.data()[i] == before.data()[i]);
  CHECK(generator.weight.data()[0] != generator_before.data()[0]);
  {
    Tape tape;  // the discriminator's turn: the generated samples are constants
    tape.backward(sum(discriminator(generator(noise).detach())));
    CHECK(generator.weight.grad().empty());
    train_discriminator.step();
  }
  CHECK(discriminator.weight.data()[0] != before.data()[0]);
}

TEST_CASE("num_batches_tracked counts beyond what a float can") {
  BatchNorm1d norm(2);
  norm.num_batches_tracked.value = (int64_t{1} << 24) + 1;
  Tape tape;
  norm(randn({4, 2}));
  CHECK(norm.num_batches_tracked.value == (int64_t{1} << 24) + 2);
}

TEST_CASE("nested lists") {
  CHECK(tensor({1, 2}).shape() == Shape{2});
  CHECK(tensor({{3}, {6}}).shape() == Shape{2, 1});
  CHECK(tensor({{{1, 2}, {3, 4}}})(0, 1, 0) == 3);
  CHECK_THROWS_AS(tensor({{1, 2}, {3}}), ShapeError);
  CHECK(fmt::format("{}", tensor({{1, 2}, {3, 4.5}})) == "[[1, 2],\n [3, 4.5]]");
}
