// Models from one line: words, presets, and errors that point at a word.
#include "trainer/models.h"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <set>

#include <ballast/ballast.h>

#include "../temp_folder.h"
#include "options/config.h"
#include "trainer/model_words.h"

using namespace ballast;
using namespace ballast::app;

namespace {

const Shape image = {1, 28, 28};

Sequential made(const std::string& line, const Shape& sample = image, int64_t outputs = 10) {
  return make_model({.model = line}, sample, outputs);
}

/// "Conv2d 1 -> 4, 3 x 3; ReLU"
std::string layers(const Sequential& net) {
  std::string text;
  for (size_t i = 0; i < net.size(); ++i) text += (i == 0 ? "" : "; ") + net[i].describe();
  return text;
}

/// Name and shape of each parameter and buffer.
std::map<std::string, std::string> parts(Sequential& net) {
  std::map<std::string, std::string> found;
  for_each_parameter(net, [&](const std::string& name, Parameter& p) { found[name] = p.shape().str(); });
  for_each_buffer(net, [&](const std::string& name, Buffer& b) { found[name] = b.shape().str(); });
  return found;
}

std::map<std::string, std::vector<real>> values(Sequential& net) {
  std::map<std::string, std::vector<real>> found;
  for_each_parameter(net, [&](const std::string& name, Parameter& p) {
    found[name].assign(p.data(), p.data() + p.count());
  });
  return found;
}

std::string error_of(const ModelOptions& options, const Shape& sample = image) {
  try {
    make_model(options, sample, 10);
    return "";
  } catch (const ValueError& error) {
    return error.message;
  }
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("presets: the modules, names and initial weights of models made by hand") {
  const auto check_same = [](const ModelOptions& options, void (*make)(Sequential&)) {
    CAPTURE(options.model + " " + options.norm);
    manual_seed(3);
    Sequential by_hand;
    make(by_hand);
    manual_seed(3);
    Sequential preset = make_model(options, image, 10);
    CHECK(layers(preset) == layers(by_hand));
    CHECK(parts(preset) == parts(by_hand));
    CHECK(values(preset) == values(by_hand));
  };
  check_same({.model = "mlp", .hidden = {16, 8}, .dropout = 0.5}, [](Sequential& net) {
    net.add(Flatten());
    net.add(Linear(784, 16, {.bias = false}));
    net.add(BatchNorm1d(16)), net.add(ReLU()), net.add(Dropout(0.5));
    net.add(Linear(16, 8, {.bias = false}));
    net.add(BatchNorm1d(8)), net.add(ReLU()), net.add(Dropout(0.5));
    net.add(Linear(8, 10));
  });
  check_same({.model = "lenet", .norm = "none", .act = "tanh", .dropout = 0.25}, [](Sequential& net) {
    net.add(Conv2d(1, 6, 5, {.padding = 2}));
    net.add(Tanh()), net.add(MaxPool2d(2));
    net.add(Conv2d(6, 16, 5));
    net.add(Tanh()), net.add(MaxPool2d(2)), net.add(Flatten());
    net.add(Linear(400, 120));
    net.add(Tanh()), net.add(Dropout(0.25));
    net.add(Linear(120, 84));
    net.add(Tanh()), net.add(Dropout(0.25));
    net.add(Linear(84, 10));
  });
  check_same({.model = "cnn", .norm = "layer"}, [](Sequential& net) {
    net.add(Conv2d(1, 32, 3, {.padding = 1, .bias = false}));
    net.add(LayerNorm({32, 28, 28})), net.add(ReLU()), net.add(MaxPool2d(2));
    net.add(Conv2d(32, 64, 3, {.padding = 1, .bias = false}));
    net.add(LayerNorm({64, 14, 14})), net.add(ReLU()), net.add(MaxPool2d(2)), net.add(Flatten());
    net.add(Linear(3136, 128));
    net.add(ReLU());
    net.add(Linear(128, 10));
  });
}

TEST_CASE("resnet-N: the size of He et al. 2016, table 6, with projections where shapes change") {
  // 269,722 and 853,018 with shortcuts that have no parameters; 32 x 16 and 64 x 32 weights and two norms
  // more.
  const int64_t projections = 32 * 16 + 64 * 32 + 2 * (32 + 64);
  const auto size = [](const std::string& name) { return parameter_count(made(name, {3, 32, 32})); };
  CHECK(size("resnet-20") == 269'722 + projections);
  CHECK(size("resnet-56") == 853'018 + projections);
  CHECK(size("resnet-8") < size("resnet-14"));
  CHECK(contains(error_of({.model = "resnet-21"}), "6 n + 2"));
  CHECK(contains(error_of({.model = "resnet-"}), "6 n + 2"));
  CHECK(contains(error_of({.model = "resnet-2"}), "6 n + 2"));
  CHECK(contains(error_of({.model = "resnet-99999999999999999999"}), "6 n + 2"));
}

TEST_CASE("presets of tables: samples of F numbers") {
  CHECK(layers(make_model({.model = "mlp", .norm = "none", .hidden = {5}}, {7}, 3)) ==
        "Flatten; Linear 7 -> 5; ReLU; Linear 5 -> 3");
}

TEST_CASE("words: each adds its layers") {
  struct Example {
    std::string line, expected;
    Shape sample = {2, 8, 8};
    int64_t outputs = 4;
  };
  const std::vector<Example> examples = {
      {"conv 4 3 pad=1 stride=2, globalavgpool, flatten, linear",
       "Conv2d 2 -> 4, 3 x 3; GlobalAvgPool; Flatten; Linear 4 -> 4"},
      {"conv 4 3 dilation=2 groups=2", "Conv2d 2 -> 4, 3 x 3"},
      {"conv 4 3", "Conv1d 2 -> 4, 3", {2, 8}},
      {"maxpool 2, avgpool 2 stride=1 pad=1, flatten, linear",
       "MaxPool2d 2 x 2; AvgPool2d 2 x 2; Flatten; Linear 50 -> 4"},
      {"maxpool 2, avgpool 2, flatten, linear", "MaxPool1d 2; AvgPool1d 2; Flatten; Linear 4 -> 4", {2, 8}},
      {"rows, lstm 6 layers=2 bidirectional=true, gru 5, rnn 7, last, linear",
       "Rows; LSTM 16 -> 12, 2 layers, bidirectional; GRU 12 -> 5; RNN 5 -> 7; LastPosition; Linear 7 -> 4"},
      {"patches 4, project 6, positions, attention 2 causal=true, encoder 3 ff=8 norm_first=true, average, "
       "linear",
       "Patches 4 x 4; Linear 32 -> 6; PositionEmbedding 4 x 6; MultiheadAttention 6, 2 heads, causal; "
       "TransformerEncoderLayer 6, 3 heads, pre-norm; MeanPosition; Linear 6 -> 4"},
      {"embed 7 3, last, linear", "Embedding 7 x 3; LastPosition; Linear 3 -> 4", {5}},
      {"convtranspose 3 4 pad=1 stride=2, upsample 2, channeldropout 0.5, adaptiveavgpool 3, elu, softplus, "
       "flatten, "
       "linear",
       "ConvTranspose2d 2 -> 3, 4 x 4; Upsample 2 x 2; Dropout2d 0.5; AdaptiveAvgPool2d 3 x 3; ELU 1; "
       "Softplus; "
       "Flatten; "
       "Linear 27 -> 4"},
      {"linear 5, dropout 0.25, linear", "Linear 3 -> 5; Dropout 0.25; Linear 5 -> 4", {3}},
      {"linear,softmax", "Linear 3 -> 4; Softmax along axis 1", {3}},
      {"linear 4", "Linear 3 -> 4", {3}},
      {"dropout, linear", "Linear 3 -> 4", {3}},
      {"res(linear 3, act), linear", "Residual; Linear 3 -> 4", {3}},
      {"norm, act, flatten, linear", "BatchNorm2d 2; ReLU; Flatten; Linear 128 -> 4"},
      {"batchnorm, instancenorm, flatten, linear",
       "BatchNorm2d 2; InstanceNorm2d 2; Flatten; Linear 128 -> 4"},
      {"batchnorm, instancenorm, flatten, linear",
       "BatchNorm1d 2; InstanceNorm1d 2; Flatten; Linear 16 -> 4",
       {2, 8}},
      {"layernorm, groupnorm 2, groupnorm, rmsnorm, flatten, linear",
       "LayerNorm (2, 8, 8); GroupNorm 2 groups of 1; GroupNorm 2 groups of 1; RMSNorm (2, 8, 8); Flatten; "
       "Linear 128 -> 4"},
      {"relu, leaky_relu, sigmoid, tanh, silu, gelu, linear",
       "ReLU; LeakyReLU 0.01; Sigmoid; Tanh; SiLU; GELU; Linear 3 -> 4",
       {3}},
      {" linear\t5 ,act,\n linear ", "Linear 3 -> 5; ReLU; Linear 5 -> 4", {3}},
      {"2x(linear 5, 2x( act )), linear",
       "Linear 3 -> 5; ReLU; ReLU; Linear 5 -> 5; ReLU; ReLU; Linear 5 -> 4",
       {3}},
  };
  std::set<const Word*> shown;
  for (const Example& example : examples) {
    CAPTURE(example.line);
    const std::string found = layers(make_model({.model = example.line}, example.sample, example.outputs));
    CHECK(found == example.expected);
    for (const Call& call : parse_line(example.line).calls) shown.insert(call.word);
  }
  for (const Word& word : words()) {
    CAPTURE(word.name);
    CHECK(shown.count(&word) == 1);
    CHECK(!word.help.empty());
    CHECK(usage(word).starts_with(word.name));
  }
}

TEST_CASE("a layer that a norm directly follows has no bias, unless the line says otherwise") {
  const auto biases = [](const std::string& line, const std::string& norm = "batch") {
    Sequential net = make_model({.model = line, .norm = norm}, {6}, 3);
    std::string names;
    for_each_parameter(net, [&](const std::string& name, Parameter&) {
      if (name == "0.bias" || name == "1.bias" || name == "0.body.0.bias") names += name + " ";
    });
    return names;
  };
  CHECK(biases("linear 4, norm, linear").find("0.bias") == std::string::npos);
  CHECK(biases("linear 4, norm, linear", "none") == "0.bias 1.bias ");
  CHECK(biases("linear 4, layernorm, linear", "none") == "1.bias ");
  CHECK(biases("linear 4, act, norm, linear") == "0.bias ");
  CHECK(biases("linear 4 bias=true, norm, linear") == "0.bias 1.bias ");
  CHECK(biases("linear 4 bias=0, linear bias=false") == "");
  CHECK(biases("2x(linear 4), norm, linear") == "0.bias ");
  CHECK(biases("res(linear 6), norm, linear") == "0.body.0.bias 1.bias ");
}

TEST_CASE("res: what goes around is x, or a projection to the shape of the sum") {
  const auto shortcut = [](const std::string& line, const Shape& sample, const std::string& norm = "batch") {
    Sequential net = make_model({.model = line + ", flatten, linear", .norm = norm}, sample, 3);
    return layers(dynamic_cast<Residual&>(net[0]).shortcut);
  };
  CHECK(shortcut("res(conv 2 3 pad=1, norm)", {2, 7, 5}) == "");
  CHECK(shortcut("res(conv 4 3 pad=1, norm)", {2, 7, 5}) == "Conv2d 2 -> 4, 1 x 1; BatchNorm2d 4");
  CHECK(shortcut("res(conv 4 3 pad=1 stride=2)", {2, 7, 5}, "none") == "Conv2d 2 -> 4, 1 x 1");
  CHECK(shortcut("res(conv 2 3 pad=1 stride=3)", {2, 7, 5}, "none") == "Conv2d 2 -> 2, 1 x 1");
  CHECK(shortcut("res(conv 4 3 pad=1 stride=2, layernorm)", {2, 7}, "layer") ==
        "Conv1d 2 -> 4, 1; LayerNorm (4, 4)");
  CHECK(shortcut("res(linear 4, act)", {6}) == "Linear 6 -> 4; BatchNorm1d 4");
  // A residual block learns to halve: a gradient flows both ways.
  Sequential net = made("res(conv 4 3 pad=1 stride=2, act), flatten, linear");
  Tape tape;
  tape.backward(mean(net(randn({2, 1, 28, 28}))));
  for_each_parameter(net, [&](const std::string& name, Parameter& p) {
    CAPTURE(name);
    CHECK(max(abs(p.grad())).item() > 0);
  });
}

TEST_CASE("an error points at the word, and says what is wrong with it") {
  const auto check_error = [](const std::string& line, const std::string& where, const std::string& why) {
    const std::string message = error_of({.model = line});
    CAPTURE(message);
    CHECK(contains(message, where));
    CHECK(contains(message, why));
    CHECK(message.find('\n') == std::string::npos);
  };
  check_error("conv 8 3, cnov 8 3, linear", "\"cnov\" at character 11 of \"conv 8 3, cnov 8 3, linear\"",
              "did you mean conv?");
  check_error("conv 8 3, Dense", "\"Dense\" at character 11", "did you mean linear?");
  check_error("conv 8 3, x", "\"x\" at character 11", "known are conv, maxpool, ");
  check_error("act,\nconv 8", "\"conv 8\" at character 6 of \"act, conv 8\"",
              "KERNEL, size of the kernel, is");
  check_error("conv 8 3 5, linear", "\"5\" at character 10", "takes no more values");
  check_error("conv 8 3 pda=1", "\"pda=1\" at character 10", "did you mean pad?");
  check_error("conv 8 3 KERNEL=1", "\"KERNEL=1\" at character 10", "given twice");
  check_error("conv KERNEL=1", "\"KERNEL=1\" at character 6", "no argument KERNEL");
  check_error("conv 8 3 pad=1 pad=1", "\"pad=1\" at character 16", "given twice");
  check_error("conv 8 2.5", "\"2.5\" at character 8", "a whole number from 1");
  check_error("conv 0 3", "\"0\" at character 6", "a whole number from 1");
  check_error("conv 8 3 bias=yes", "\"bias=yes\" at character 10", "true or false");
  check_error("dropout 1.5, linear", "\"1.5\" at character 9", "a number from 0 to 1");
  check_error("dropout nan, linear", "\"nan\" at character 9", "a number from 0 to 1");
  check_error("act, res(conv 8 3, linear", "\"res(\" at character 6", "never closed");
  check_error("act, linear)", "\")\" at character 12", "no \"(\"");
  check_error("act, , linear", "\",\" at character 6", "missing before it");
  check_error("act,", "at the end of \"act,\"", "a word is missing");
  check_error("res()", "\")\" at character 5", "missing before it");
  check_error("res, linear", "\"res\" at character 1", "write res(LINE)");
  check_error("flatten(act), linear", "\"flatten\" at character 1", "no parentheses");
  check_error("res(act) relu, linear", "\"relu\" at character 10", "a comma is missing");
  check_error("flatten linear", "\"linear\" at character 9", "flatten takes no more values");
  check_error("0x(act), linear", "\"0x\" at character 1", "1 to 1000 times");
  check_error("99999999999999999999x(act)", "at character 1", "1 to 1000 times");
  check_error("1000x(1000x(act)), linear", "\"1000x\" at character 1", "more than 10000 words");
  std::string deep = "act";
  for (int i = 0; i < 100'000; ++i) deep = "res(" + deep;
  CHECK(contains(error_of({.model = deep}), "more than 16 parentheses"));
}

TEST_CASE("words may be written in capitals") {
  CHECK(layers(make_model({.model = "Conv 2 3 pad=1, ReLU, Flatten, LINEAR"}, {1, 4, 4}, 3)) ==
        layers(make_model({.model = "conv 2 3 pad=1, relu, flatten, linear"}, {1, 4, 4}, 3)));
}

TEST_CASE("an error of shapes has the word and the shape that it got") {
  const auto check_error = [](const ModelOptions& options, const std::string& where, const std::string& why,
                              const Shape& sample = image) {
    const std::string message = error_of(options, sample);
    CAPTURE(message);
    CHECK(contains(message, where));
    CHECK(contains(message, why));
  };
  check_error({.model = "flatten, conv 3 3, linear"}, "\"conv 3 3\" at character 10", "given (N, 784)");
  check_error({.model = "maxpool 2, linear"}, "\"maxpool 2\" at character 1", "given (N, 7)", {7});
  check_error({.model = "conv 3 3, linear"}, "\"linear\" at character 11", "put flatten before it");
  check_error(
      {.model = "conv 3 3 dilation=4, flatten, linear"}, "given (N, 1, 8, 8)",
      "its kernel of 3 x 3 is larger than the images there, 8 x 8 pixels (with its dilation it spans 9)",
      {1, 8, 8});
  check_error({.model = "maxpool 9 pad=0, flatten, linear"}, "given (N, 2, 8)",
              "its window of 9 is larger than the sequences there, 8 positions", {2, 8});
  check_error({.model = "lenet"}, "--model lenet: it is for images", "rows of 7 numbers; use --model mlp",
              {7});
  check_error({.model = "4x(conv 8 3, maxpool 2), flatten, linear"}, "\"conv 8 3\" at character 4",
              "given (N, 8, 1, 1)");
  check_error({.model = "act, res(flatten, conv 3 3), linear"}, "\"conv 3 3\" at character 19",
              "given (N, 784)");
  check_error({.model = "res(act, flatten), linear"}, "\"res(act, flatten)\" at character 1",
              "its layers give (N, 784)");
  check_error({.model = "res(conv 8 3), flatten, linear"}, "\"res(conv 8 3)\" at character 1",
              "its layers give (N, 8, 26, 26)");
  check_error({.model = "flatten, linear, act, linear"}, "\"linear\" at character 10", "WIDTH is missing");
  check_error({.model = "flatten, res(linear), linear 10"}, "\"linear\" at character 14", "WIDTH is missing");
  check_error({.model = "flatten, linear 5"}, "at the end", "it gives (N, 5), and the task has 10 outputs");
  check_error({.model = "flatten, linear 1, layernorm, linear"}, "\"layernorm\" at character 20",
              "over a single value");
  check_error({.model = "groupnorm 3, flatten, linear"}, "\"groupnorm 3\" at character 1", "3 groups");
  check_error({.model = "mlp", .norm = "instance"}, "--model mlp: \"norm\" at character 22",
              "given (N, 512): instance normalization");
  check_error({.model = "lenet"}, "--model lenet: \"maxpool 2\"", "given (N, 16, 1, 1)", {1, 10, 10});
}

TEST_CASE("a single word that is neither a preset nor a word of a line") {
  CHECK(contains(error_of({.model = "cnm"}), "did you mean cnn?"));
  CHECK(contains(error_of({.model = "resnet20"}), "did you mean resnet-20?"));
  CHECK(contains(error_of({.model = "perceiver"}),
                 "known are mlp, lenet, cnn, resnet-N, vgg, mobile, lstm, transformer"));
  CHECK(layers(made("linear", {3})) == "Linear 3 -> 10");
}

TEST_CASE("a line comes back from config.toml and from JSON as it was given") {
  const TempFolder folder;
  TrainOptions options;
  options.model.model = "conv 8 3 pad=1, norm,  act, 2x(res(conv 8 3 pad=1)), flatten, linear";
  validate(options);
  std::ofstream(folder / "config.toml") << to_toml(options_of(options));
  TrainOptions read;
  read_config(folder / "config.toml", read);
  CHECK(read.model.model == options.model.model);
  CHECK(options_from_json<ModelOptions>(json_of(options.model)).model == options.model.model);
  std::ofstream(folder / "config.toml") << "seed = 1\nmodel = \"flatten, linaer\"\n";
  try {
    read_config(folder / "config.toml", read);
    FAIL("a line with a mistake was read");
  } catch (const FileError& error) {
    CHECK(contains(error.message, "\"linaer\" at character 10"));
    CHECK(contains(error.message, "did you mean linear? at line 2"));
  }
  CHECK_THROWS_AS(options_from_json<ModelOptions>(R"({"model": ""})"), ValueError);
}

TEST_CASE("options that no word reads are refused") {
  const auto refused = [](const std::string& model, const std::string& option) {
    try {
      check_effect(ModelOptions{.model = model}, {option});
      return false;
    } catch (const ValueError& error) {
      CHECK(contains(error.message, "--" + option + " has no effect with --model " + model));
      return true;
    }
  };
  CHECK(!refused("mlp", "hidden"));
  CHECK(refused("cnn", "hidden"));
  CHECK(refused("flatten, linear", "hidden"));
  CHECK(refused("flatten, linear", "norm"));
  CHECK(!refused("flatten, res(linear 4, norm), linear", "norm"));
  CHECK(refused("flatten, relu, linear", "act"));
  CHECK(!refused("flatten, res(act), linear", "act"));
  CHECK(refused("flatten, dropout 0.5, linear", "dropout"));
  CHECK(!refused("flatten, dropout, linear", "dropout"));
  CHECK(refused("resnet-20", "dropout"));
  for (const char* preset : {"mlp", "lenet", "cnn", "vgg"})
    for (const char* option : {"norm", "act", "dropout"}) CHECK(!refused(preset, option));
}

TEST_CASE("names of runs") {
  CHECK(short_name({.model = "resnet-20"}) == "resnet-20");
  CHECK(short_name({.model = "flatten, linear"}) == "custom");
  CHECK(description({.model = "mlp", .norm = "none"}) == "mlp, no normalization");
  CHECK(description({.model = "flatten, norm, linear"}) == "flatten, norm, linear, batch normalization");
  CHECK(description({.model = "flatten, linear"}) == "flatten, linear");
}

TEST_CASE("without_batch_norms: the model that folding makes") {
  const std::vector<ModelOptions> models = {
      {.model = "cnn"},
      {.model = "resnet-8"},
      {.model = "conv 4 3 bias=false, norm, act, flatten, linear"},
      {.model = "conv 4 3, batchnorm, layernorm, act, flatten, linear", .norm = "layer"},
      {.model = "conv 4 3, batchnorm, norm, act, flatten, linear 4, norm, linear", .norm = "layer"},
      {.model = "2x(conv 4 3 bias=true, batchnorm, relu), flatten, linear 4 bias=false, linear",
       .norm = "none"},
      {.model =
           "res(conv 4 3 pad=1, batchnorm, act), flatten, linear 8 bias=1, batchnorm, dropout 0.5, linear"}};
  for (const ModelOptions& options : models) {
    CAPTURE(options.model);
    Sequential net = make_model(options, {1, 12, 12}, 3);
    const FoldReport report = fold(net);
    CHECK(report.kept.empty());
    CHECK(!report.folded.empty());
    Sequential again = make_model(without_batch_norms(options), {1, 12, 12}, 3);
    CHECK(parts(again) == parts(net));
    CHECK(layers(again) == layers(net));
  }
  CHECK(without_batch_norms({.model = "resnet-8"}).model == "resnet-8");
}

TEST_CASE("register_word: a word of one's own") {
  register_word({.name = "twice",
                 .help = "two linear layers",
                 .arguments = {{.name = "WIDTH", .help = "of both", .required = true}},
                 .make = [](Place& place) {
                   for (int i = 0; i < 2; ++i) place.add(Linear(place.shape()[1], *place.whole("WIDTH")));
                 }});
  CHECK(layers(made("twice 4, linear", {3})) == "Linear 3 -> 4; Linear 4 -> 4; Linear 4 -> 10");
  CHECK(usage(words().back()) == "twice WIDTH");
  CHECK(contains(error_of({.model = "twize 4"}), "did you mean twice?"));
  const auto refused = [](const char* name) {
    CHECK_THROWS_AS(register_word({.name = name, .help = "", .make = [](Place&) {}}), ValueError);
  };
  for (const char* name : {"twice", "linear", "", "2x", "a b", "A", "a,b", "a("}) refused(name);
  CHECK_THROWS_AS(register_word({.name = "nothing", .help = ""}), ValueError);
}
