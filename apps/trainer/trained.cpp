#include "trainer/trained.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include <ballast/data/atomic_file.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>

#include "options/config.h"
#include "output.h"
#include "trainer/formats.h"
#include "trainer/models.h"

namespace ballast::app {

namespace fs = std::filesystem;

void check_not_state(const std::string& path) {
  if (SafetensorsFile(path).metadata().contains("ballast_state"))
    throw FileError(path, "MODEL", "this is the state of a run, for resuming; give its best.safetensors");
}

namespace {

/// The data that a run's config.toml names, or "" where no such file is beside the checkpoint.
std::string data_in_config(const std::string& checkpoint) {
  const fs::path config = fs::path(checkpoint).parent_path() / "config.toml";
  if (!fs::exists(config)) return "";
  TrainOptions options;
  try {
    read_config(config.string(), options);
  } catch (const Error&) {
    return "";  // another program's
  }
  return options.data.data;
}

}  // namespace

Trained load_trained(const std::string& path, const TrainedOptions& options, const Given& given) {
  check_not_state(path);
  const std::optional<CheckpointInfo> found = checkpoint_info(path, SafetensorsFile(path).metadata());
  CheckpointInfo info = found.value_or(CheckpointInfo{});
  // A checkpoint has no absolute path: of data elsewhere in the file system only the run's folder tells.
  if (found && info.data.data.empty()) info.data.data = data_in_config(path);
  info.data = merged(info.data, options.data, given);
  info.model = merged(info.model, options.model, given);
  check_effect(info.data, given);
  check_effect(info.model, given);
  const bool own_data =
      !given.contains("data") && !given.contains("train-size") && !given.contains("test-size");
  Trained trained{path,
                  found.has_value(),
                  own_data,
                  info,
                  make_model(info.model, info.sample_shape, info.outputs),
                  found ? std::optional(found->data) : std::nullopt};
  try {
    load(path, trained.model);
  } catch (const FileError& error) {
    if (found || given.contains("model")) throw;
    throw FileError(
        path, error.code,
        "it holds weights alone, which don't say of what network; where there is a run of the same "
        "network, ballast import makes a checkpoint of both, and --model says it to commands that "
        "have the option");
  }
  return trained;
}

namespace {

const char* outputs_name(TargetKind kind) { return kind == TargetKind::values ? "values" : "classes"; }

void check_found(const Trained& trained) {
  const DataOptions& data = trained.info.data;
  std::error_code error;
  const bool found = data.data == "digits" || fs::exists(split_data_text(data.data).path, error);
  check<ValueError>(found || !trained.own_data,
                    "{}: the data \"{}\" that it was trained on aren't {}; give them with --data",
                    trained.path, trained.info.data_name, data.data.empty() ? "found" : "in " + data.data);
}

void note_changes(const Trained& trained, Split split, Needs needs) {
  if (!trained.own_data || trained.info.fingerprint.empty()) return;
  if (needs == Needs::test) split.train = split.validation = {};  // needn't be hashed
  const Fingerprint now = fingerprint(split);
  for (const auto& [name, value] : trained.info.fingerprint) {
    const bool loaded = needs == Needs::all || name.starts_with("test");
    const auto found = now.find(name);
    if (!loaded || found == now.end() || found->second == value) continue;
    complain("note: --data {}: these are not the data that {} was trained on: they differ in {}\n",
             trained.info.data.data, trained.path, name);
    return;
  }
}

/// Throws ValueError for options that the checkpoint leaves without effect.
void check_options(const Trained& trained, Needs needs, const Given& given) {
  if (needs == Needs::test)
    for (const char* name : {"validation", "test", "split-seed"})
      check<ValueError>(
          !given.contains(name),
          "--{} has no effect here: the test part is measured as it was split off for training, "
          "or all samples of other data",
          name);
  if (trained.info.schema.empty()) return;
  for (const char* name : {"label", "ignore", "header", "task", "shape"})
    check<ValueError>(!given.contains(name),
                      "--{} has no effect here: a table is read as the one that the model was trained on",
                      name);
}

/// The same data with the numbers that the model's classes have, where both have names.
Dataset with_classes(Dataset data, const std::vector<std::string>& names, const std::string& path) {
  if (data.kind != TargetKind::classes || data.class_names.empty() || names.empty() ||
      data.class_names == names)
    return data;
  std::vector<int32_t> number;
  number.reserve(data.class_names.size());
  for (const std::string& name : data.class_names) {
    const auto found = std::ranges::find(names, name);
    check<ValueError>(found != names.end(), "--data {}: the model doesn't know the class \"{}\"; it knows {}",
                      path, name, fmt::join(names, ", "));
    number.push_back(static_cast<int32_t>(found - names.begin()));
  }
  data.read = [read = std::move(data.read), number = std::move(number)](const Reading& reading, real* x,
                                                                        Target y) {
    read(reading, x, y);
    *y.labels() = number.at(static_cast<size_t>(*y.labels()));
  };
  data.class_names = names;
  data.classes = static_cast<int>(names.size());
  return data;
}

}  // namespace

Split data_for(Trained& trained, Needs needs, const Given& given) {
  CheckpointInfo& info = trained.info;
  check_found(trained);
  const bool test_only = trained.described && needs == Needs::test;
  check<ValueError>(!test_only || !given.contains("train-size"),
                    "--train-size has no effect here: only the test images are used");
  check_options(trained, needs, given);
  DataOptions options = info.data;
  if (test_only) options.train_size = 0;  // digits aren't drawn in vain
  // Images are brought to the size that the model takes.
  if (trained.described && info.sample_shape.rank() == 3 && !given.contains("shape") &&
      data_source(options.data).format->name == "images")
    options.shape = fmt::format("{}", fmt::join(info.sample_shape, "x"));
  Split split = load_data(options, info.schema.empty() ? nullptr : &info.schema,
                          needs == Needs::test && given.contains("data") ? &info.fingerprint : nullptr)
                    .split;
  const bool fits = split.test.kind == info.kind && split.test.sample_shape == info.sample_shape &&
                    (info.kind == TargetKind::values ? split.test.outputs() == info.outputs
                                                     : split.test.outputs() <= info.outputs);
  check<ValueError>(fits, "--data {}: {} {} of samples {}; the model knows {} {} of {}", options.data,
                    split.test.outputs(), outputs_name(split.test.kind), split.test.sample_shape,
                    info.outputs, outputs_name(info.kind), info.sample_shape);
  for (Dataset* part : {&split.train, &split.test})
    *part = with_classes(*part, info.class_names, options.data);
  note_changes(trained, split, needs);
  if (!trained.own_data && needs == Needs::all) info.fingerprint = fingerprint(split);
  if (!trained.described) info.standardization = standardization_of(split, options);
  return {.train = prepared(split.train, info.standardization, info.target_standardization),
          .test = prepared(split.test, info.standardization, info.target_standardization)};
}

std::string new_file(const std::string& out, const std::string& checkpoint, const std::string& what,
                     const std::string& extension) {
  const fs::path from = checkpoint;
  const std::string path =
      !out.empty() ? out : (from.parent_path() / (from.stem().native() + "-" + what + extension)).native();
  std::error_code error;
  check<ValueError>(!fs::exists(path, error),
                    "{} exists already, and nothing saved is overwritten; choose another file with --out",
                    path);
  remove_abandoned_files(path);
  return path;
}

}  // namespace ballast::app
