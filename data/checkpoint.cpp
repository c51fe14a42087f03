#include <ballast/data/checkpoint.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <variant>

#include <ballast/data/safetensors.h>
#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

struct Part {
  std::string name;
  std::variant<Parameter*, Buffer*, Counter*> part;

  Shape shape() const {
    if (const auto parameter = std::get_if<Parameter*>(&part)) return (*parameter)->shape();
    if (const auto buffer = std::get_if<Buffer*>(&part)) return (*buffer)->shape();
    return {};
  }
  /// Files from before PyTorch 0.4.1 lack the batches that a norm has seen. As in PyTorch, the module keeps
  /// its own number then.
  bool may_be_missing() const {
    constexpr std::string_view last = "num_batches_tracked";
    return std::holds_alternative<Counter*>(part) &&
           (name == last || name.ends_with("." + std::string(last)));
  }
  /// The parameter's identity: equal for the names of a shared one.
  const Storage* identity() const {
    const auto parameter = std::get_if<Parameter*>(&part);
    return parameter ? (*parameter)->value().storage().get() : nullptr;
  }
};

class PartList : public Visitor {
 public:
  template <class P>
  explicit PartList(const std::vector<Named<P>>& several) {
    for (const Named<P>& named : several) {
      prefix_ = named.name.empty() ? "" : named.name + ".";
      walk(named.parts, *this);
    }
  }
  std::vector<Part> parts;

 private:
  void parameter(const std::string& path, Parameter& part) override {
    parts.push_back({prefix_ + path, &part});
  }
  void buffer(const std::string& path, Buffer& part) override { parts.push_back({prefix_ + path, &part}); }
  void counter(const std::string& path, Counter& part) override { parts.push_back({prefix_ + path, &part}); }
  std::string prefix_;
};

SafetensorsTensor to_write(const Part& part) {
  if (const auto counter = std::get_if<Counter*>(&part.part)) return {part.name, {}, &(*counter)->value};
  if (const auto buffer = std::get_if<Buffer*>(&part.part))
    return {part.name, part.shape(), (*buffer)->data()};
  const Parameter& parameter = *std::get<Parameter*>(part.part);
  return {part.name, part.shape(), parameter.data()};
}

LoadReport compare(const SafetensorsFile& file, const std::vector<Part>& parts) {
  LoadReport report;
  std::set<std::string> known;
  std::set<const Storage*> given;
  for (const Part& part : parts) {
    known.insert(part.name);
    //~
    if (!file.contains(part.name)) continue;
    const Shape& in_file = file.entry(part.name).shape;
    if (in_file == part.shape()) {
      report.matched.push_back(part.name);
      given.insert(part.identity());
    } else {
      report.mismatched.push_back(
          fmt::format("{}: file {}, model {}", in_quotes(part.name), in_file.str(), part.shape().str()));
    }
  }
  for (const Part& part : parts) {
    const bool shared = part.identity() && given.count(part.identity());
    //~ const bool shared = false;
    if (!file.contains(part.name) && !shared && !part.may_be_missing()) report.missing.push_back(part.name);
  }
  for (const auto& [name, entry] : file.entries()) {
    if (!known.count(name)) report.unexpected.push_back(name);
  }
  return report;
}

void check_fit(const std::string& path, const LoadReport& report) {
  std::string differences;
  const auto list = [&](const char* title, std::vector<std::string> names, bool quote) {
    if (names.empty()) return;
    if (quote) std::transform(names.begin(), names.end(), names.begin(), in_quotes);
    differences += fmt::format("; {} ({}): {}", title, names.size(), fmt::join(names, ", "));
  };
  list("missing in the file", report.missing, true);
  list("not in the model", report.unexpected, true);
  list("of another shape", report.mismatched, false);
  if (differences.empty()) return;
  throw FileError(
      path, "MODEL",
      fmt::format(
          "this is not a checkpoint of this model{}; build the model that was saved, or load what fits "
          "with strict = false",
          differences));
}

/// The values of the parts that fit, read but not yet in place.
class StagedValues {
 public:
  void read(const SafetensorsFile& file, const Part& part) {
    if (std::holds_alternative<Counter*>(part.part)) {
      file.read(part.name, std::span(&counts_.emplace_back(&part, 0).second, 1));
    } else {
      Tensor& values = tensors_.emplace_back(&part, Tensor(part.shape())).second;
      file.read(part.name, std::span<real>(values.data(), values.values().size()));
    }
  }
  void put_in_place() const {
    for (const auto& [part, count] : counts_) std::get<Counter*>(part->part)->value = count;
    for (const auto& [part, values] : tensors_) {
      if (const auto parameter = std::get_if<Parameter*>(&part->part)) (*parameter)->assign(values);
      if (const auto buffer = std::get_if<Buffer*>(&part->part)) (*buffer)->assign(values);
    }
  }

 private:
  std::vector<std::pair<const Part*, int64_t>> counts_;
  std::vector<std::pair<const Part*, Tensor>> tensors_;
};

}  // namespace

void save(const std::string& path, const std::vector<Named<const Parts>>& several,
          std::map<std::string, std::string> metadata) {
  for (const Named<const Parts>& named : several) check_buffers_listed(named.parts);
  const PartList list(several);
  std::vector<SafetensorsTensor> tensors;
  for (const Part& part : list.parts) tensors.push_back(to_write(part));
  metadata.emplace("format", "pt");  // some loaders insist on it
  write_safetensors(path, std::move(tensors), metadata);
}

void save(const std::string& path, const Parts& parts, std::map<std::string, std::string> metadata) {
  save(path, {{"", parts}}, std::move(metadata));
}

LoadReport load(const std::string& path, const std::vector<Named<Parts>>& several,
                const LoadOptions& options) {
  const SafetensorsFile file(path);
  const PartList list(several);
  LoadReport report = compare(file, list.parts);
  if (options.strict) check_fit(path, report);
  //~
  StagedValues values;
  for (const Part& part : list.parts) {
    if (file.contains(part.name) && file.entry(part.name).shape == part.shape()) values.read(file, part);
  }
  values.put_in_place();
  return report;
}

LoadReport load(const std::string& path, Parts& parts, const LoadOptions& options) {
  return load(path, {{"", parts}}, options);
}

}  // namespace ballast::inline BALLAST_PRECISION
