#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <ballast/data/image.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/convert.h"
#include "trainer/data.h"
#include "trainer/formats.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

struct DataCommandOptions {
  std::string action, to, sheet;
  DataOptions data;
  Given given;
};

std::string class_name(const Dataset& data, size_t label) {
  return label < data.class_names.size() ? data.class_names[label] : fmt::format("{}", label);
}

void print_classes(const Dataset& data) {
  std::vector<int64_t> counts(static_cast<size_t>(data.classes));
  for (int64_t n = 0; n < data.size; ++n)
    for (const int32_t label : data.sample(n).labels) ++counts.at(static_cast<size_t>(label));
  const int64_t all = data.size * data.target_shape.count();
  for (size_t label = 0; label < counts.size(); ++label)
    say("  {:<24}{:>9}{:>8.2f} %\n", class_name(data, label), grouped(counts[label]),
        100 * static_cast<double>(counts[label]) / static_cast<double>(all));
}

std::string numbers(const std::vector<double>& all) {
  constexpr size_t most = 8;
  const std::vector<double> first(all.begin(),
                                  all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), most)));
  return fmt::format("{:.4g}{}", fmt::join(first, ", "), all.size() > most ? ", ..." : "");
}

void print_targets(const Dataset& data, const TableSchema& schema) {
  const Standardization targets = measure_targets(data);
  const std::vector<double> offsets = schema.target_offsets();
  for (size_t c = 0; c < targets.mean.size(); ++c)
    say("  {:<24}mean {:.6g}, standard deviation {:.6g}\n", class_name(data, c),
        targets.mean[c] + (offsets.empty() ? 0 : offsets[c]), targets.std[c]);
}

/// Means of the inputs as they are in the table.
std::vector<double> in_units_of(const TableSchema& schema, std::vector<double> means) {
  const std::vector<double> offsets = schema.input_offsets();
  for (size_t n = 0; n < means.size() && n < offsets.size(); ++n) means[n] += offsets[n];
  return means;
}

/// The first samples of each class beside one another, a row for each class.
Image contact_sheet(const Dataset& data) {
  constexpr int64_t across = 16, gap = 2, most_rows = 100;
  const int64_t channels = data.sample_shape[0], height = data.sample_shape[1], width = data.sample_shape[2];
  const int64_t rows = std::min<int64_t>(data.classes, most_rows);
  Image sheet{channels == 3 ? 3 : 1, rows * (height + gap) + gap, across * (width + gap) + gap, {}};
  sheet.pixels.resize(static_cast<size_t>(sheet.channels * sheet.rows * sheet.cols), 128);
  std::vector<int64_t> placed(static_cast<size_t>(data.classes));
  for (int64_t n = 0; n < data.size; ++n) {
    const Sample sample = data.sample(n);
    const int64_t row = sample.label(), at = placed[static_cast<size_t>(row)]++;
    if (at >= across || row >= rows) continue;
    for (int64_t c = 0; c < sheet.channels; ++c)
      for (int64_t i = 0; i < height * width; ++i) {
        const int64_t y = gap + row * (height + gap) + i / width, x = gap + at * (width + gap) + i % width;
        const real value = sample.x[static_cast<size_t>(c * height * width + i)];
        sheet.pixels[static_cast<size_t>((c * sheet.rows + y) * sheet.cols + x)] =
            static_cast<uint8_t>(std::lround(255 * std::clamp<real>(value, 0, 1)));
      }
  }
  return sheet;
}

/// "png:folder" or "npz:file".
int convert_to(const std::string& to, const DataOptions& data) {
  const size_t colon = to.find(':');
  check<ValueError>(colon != std::string::npos && colon + 1 < to.size(),
                    "--to \"{}\": give a format and a name, as in images:folder or npz:file.npz", to);
  DataOptions options = data;
  options.validation = 0;  // digits aren't drawn besides
  const DataSource source = data_source(options.data);
  const OpenedData opened = source.format->make.open(source.path, options, nullptr);
  convert(opened.split, to.substr(0, colon), to.substr(colon + 1));
  say("written: {}\n", to.substr(colon + 1));
  return 0;
}

int print_info(const DataCommandOptions& options) {
  const DataSource source = data_source(options.data.data);
  const LoadedData data = load_data(options.data);
  const Split& split = data.split;
  say("{}: {}\n", options.data.data, source.format->help);
  say("{} training, {} validation and {} test {}s of shape {}\n", grouped(split.train.size),
      grouped(split.validation.size), grouped(split.test.size), unit_of(split.train),
      split.train.sample_shape);
  const Standardization found = standardization_of(split, options.data);
  say("mean {}, standard deviation {}\n", numbers(in_units_of(data.schema, found.mean)), numbers(found.std));
  if (!data.schema.empty()) {
    std::vector<std::string> columns;
    for (const TableColumn& column : data.schema.inputs)
      columns.push_back(column.texts.empty()
                            ? column.name
                            : fmt::format("{} ({} categories)", column.name, column.texts.size()));
    say("columns: {}\n", fmt::join(columns, ", "));
  }
  if (split.train.kind == TargetKind::values) {
    say("to predict, of the training samples:\n");
    print_targets(split.train, data.schema);
  } else {
    say("{}; of the training samples:\n", classes_text(split.train.classes));
    print_classes(split.train);
  }
  if (!options.sheet.empty()) {
    check<ValueError>(split.train.sample_shape.rank() == 3 && split.train.kind == TargetKind::classes,
                      "--sheet: only images with classes can be drawn");
    write_png(options.sheet, contact_sheet(split.train));
    say("written: {}\n", options.sheet);
  }
  return 0;
}

int run(const DataCommandOptions& options) {
  check_effect(options.data, options.given);
  check<ValueError>((options.action == "convert") == !options.to.empty(),
                    "`ballast data convert` takes --to, and only that; see ballast data --help");
  if (options.action == "convert") return convert_to(options.to, options.data);
  try {
    return print_info(options);
  } catch (const DamagedImages& damaged) {
    for (const std::string& error : damaged.errors) complain("error: {}\n", error);
    complain("{} damaged: mend or remove them, or leave them out with --skip-damaged\n",
             damaged.errors.size() == 1 ? "1 file is" : fmt::format("{} files are", damaged.errors.size()));
    return 1;
  }
}

OptionList list(DataCommandOptions& o) {
  OptionList options = {{.name = "ACTION",
                         .value = &o.action,
                         .help = "info: what the data are; convert: write them in another format",
                         .choices = {"info", "convert"},
                         .positional = true,
                         .required = true}};
  for (Option& option : options_of(o.data)) {
    if (option.name == "data") {
      option.name = "DATA";
      option.positional = true;
    }
    options.push_back(option);
  }
  options.push_back({.name = "to",
                     .value = &o.to,
                     .help =
                         "of convert: format and name of what to write; images, mnist and csv are folders, "
                         "npz is a file; images with classes only",
                     .placeholder = "FORMAT:PATH"});
  options.push_back({.name = "sheet",
                     .value = &o.sheet,
                     .help = "draw the first training images of each class into this PNG file",
                     .placeholder = "FILE"});
  return options;
}

std::string description() {
  std::string text =
      "Says what a data set is: its format, the sizes of its parts, the shape of a sample, the classes and "
      "how "
      "often\neach comes, mean and standard deviation, the columns of a table. Images that can't be read are "
      "named, "
      "and the\nexit code is 1. The formats, each recognized by what is there, or named as in "
      "csv:table.txt:\n";
  for (const Choice<DataFormat>& format : data_formats())
    text += fmt::format("  {:<8}{}\n", format.name, format.help);
  text.pop_back();
  return text;
}

}  // namespace

extern const Command data;
const Command data{"data", "look at data before training on them, or convert them", description(),
                   "Examples:\n"
                   "  ballast data info photos/ --sheet sheet.png    a folder of images, and a look at them\n"
                   "  ballast data info table.csv --label price      a table\n"
                   "  ballast data convert mnist/ --to npz:mnist.npz",
                   invocation(list, run)};

}  // namespace ballast::app
