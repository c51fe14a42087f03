#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include <ballast/data/augment.h>
#include <ballast/data/image.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/convert.h"
#include "trainer/data.h"
#include "trainer/data_sets.h"
#include "trainer/formats.h"
#include "trainer/table_file.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

struct DataCommandOptions {
  std::string action, to, sheet, mirror, augment = "light";
  DataOptions data;
  Given given;
};

std::string class_name(const Dataset& data, size_t label) {
  return label < data.class_names.size() ? data.class_names[label] : fmt::format("{}", label);
}

void print_classes(const Dataset& data) {
  std::vector<int64_t> counts(static_cast<size_t>(data.classes));
  int64_t all = 0;
  for (int64_t n = 0; n < data.size; ++n)
    for (const int32_t label : data.sample(n).labels)
      if (label != ignored_label) ++counts.at(static_cast<size_t>(label)), ++all;
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

/// Images beside and below one another, grey between them.
class Sheet {
 public:
  static constexpr int64_t across = 16, most_rows = 100;

  Sheet(const Shape& sample, int64_t rows)
      : height_(sample[1]),
        width_(sample[2]),
        image_{sample[0] == 3 ? 3 : 1, rows * (height_ + gap) + gap, across * (width_ + gap) + gap, {}} {
    image_.pixels.resize(static_cast<size_t>(image_.channels * image_.rows * image_.cols), 128);
  }

  void place(const std::vector<real>& x, int64_t row, int64_t column) {
    for (int64_t c = 0; c < image_.channels; ++c)
      for (int64_t i = 0; i < height_ * width_; ++i) {
        const int64_t at_row = gap + row * (height_ + gap) + i / width_,
                      at_column = gap + column * (width_ + gap) + i % width_;
        const real value = x[static_cast<size_t>(c * height_ * width_ + i)];
        image_.pixels[static_cast<size_t>((c * image_.rows + at_row) * image_.cols + at_column)] =
            static_cast<uint8_t>(std::lround(255 * std::clamp<real>(value, 0, 1)));
      }
  }

  const Image& image() const { return image_; }

 private:
  static constexpr int64_t gap = 2;
  int64_t height_, width_;
  Image image_;
};

/// The first images of each class, a row for each class, as far as the sheet has room.
Image contact_sheet(const Dataset& data) {
  Sheet sheet(data.sample_shape, std::min<int64_t>(data.classes, Sheet::most_rows));
  std::vector<int64_t> placed(static_cast<size_t>(data.classes));
  for (int64_t n = 0; n < data.size; ++n) {
    const Sample sample = data.sample(n);
    const int64_t row = sample.label(), at = placed[static_cast<size_t>(row)]++;
    if (at < Sheet::across && row < Sheet::most_rows) sheet.place(sample.x, row, at);
  }
  return sheet.image();
}

/// The first image of each class, and beside it as it is read in the first epochs.
Image preview_sheet(const Dataset& data, const Augmentation& augmentation) {
  const Dataset changed = augmented(data, augmentation);
  Sheet sheet(data.sample_shape, std::min<int64_t>(data.classes, Sheet::most_rows));
  std::vector<bool> seen(static_cast<size_t>(data.classes));
  for (int64_t n = 0; n < data.size; ++n) {
    const Sample sample = data.sample(n);
    const int64_t row = sample.label();
    if (row >= Sheet::most_rows || seen[static_cast<size_t>(row)]) continue;
    seen[static_cast<size_t>(row)] = true;
    sheet.place(sample.x, row, 0);
    for (int64_t epoch = 1; epoch < Sheet::across; ++epoch)
      sheet.place(changed.sample(n, epoch).x, row, epoch);
  }
  return sheet.image();
}

/// Draws what --augment does into --sheet.
int preview(const DataCommandOptions& options) {
  const Dataset train = load_data(options.data).split.train;
  check<ValueError>(train.sample_shape.rank() == 3 && train.kind == TargetKind::classes,
                    "preview: only images with classes can be drawn");
  Augmentation augmentation;
  try {
    augmentation = parse_augmentation(options.augment);
  } catch (const ValueError& error) {
    throw ValueError("--augment: " + error.message);
  }
  write_png(options.sheet, preview_sheet(train, augmentation));
  say("written: {}\n", options.sheet);
  return 0;
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

/// Fetches a data set into a folder of its name, or --to.
int get(const DataCommandOptions& options) {
  for (const std::string& name : options.given)
    check<ValueError>(name == "DATA" || name == "to" || name == "mirror",
                      "--{} has no effect on `ballast data get`", name);
  const RemoteDataSet& set = find("data", remote_data_sets(), options.data.data).make;
  const std::string folder = options.to.empty() ? options.data.data : options.to;
  fetch(set, options.mirror, folder);
  say("written: {0}; train on it by ballast train --data {0}\n", folder);
  return 0;
}

/// The day in which a time is that is so many days after 1970-01-01.
std::string date_text(double days) {
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(std::lround(std::floor(days))))};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

/// "area (mean 80.5, standard deviation 12.3), town (3 categories)"
std::string columns_text(const TableSchema& schema, const Standardization& found) {
  constexpr size_t most = 40;
  const std::vector<double> means = schema.in_units(found.mean);
  std::vector<std::string> columns;
  size_t at = 0;
  for (const TableColumn& column : schema.inputs) {
    if (columns.size() == most) {
      columns.push_back(fmt::format("... ({} in all)", schema.inputs.size()));
      break;
    }
    columns.push_back(!column.texts.empty()
                          ? fmt::format("{} ({} categories)", column.name, column.texts.size())
                      : column.date ? fmt::format("{} (dates, mean {}, standard deviation {:.4g} days)",
                                                  column.name, date_text(means[at]), found.std[at])
                                    : fmt::format("{} (mean {:.6g}, standard deviation {:.4g})", column.name,
                                                  means[at], found.std[at]));
    at += std::max<size_t>(column.texts.size(), 1);
  }
  return fmt::format("{}", fmt::join(columns, ", "));
}

/// The data, without columns of too many texts; `left_out` says of these what to do.
LoadedData load_what_can_be(DataOptions options, std::vector<std::string>& left_out) {
  try {
    return load_data(options);
  } catch (const TooManyTexts& found) {
    left_out.push_back(found.message);
    options.ignore.insert(options.ignore.end(), found.columns.begin(), found.columns.end());
    try {
      return load_what_can_be(options, left_out);
    } catch (const ValueError&) {  // it was the column to predict, or the only one
      throw found;
    }
  }
}

int print_info(const DataCommandOptions& options) {
  const DataSource source = data_source(options.data.data);
  const bool undecided = !options.given.contains("missing");
  DataOptions as_read = options.data;
  if (undecided) as_read.missing = "mean";  // so that there is something to tell of what is there
  std::vector<std::string> left_out;
  const LoadedData data = load_what_can_be(as_read, left_out);
  const Split& split = data.split;
  say("{}: {}\n", options.data.data, source.format->help);
  say("{} training, {} validation and {} test {}s of shape {}\n", grouped(split.train.size),
      grouped(split.validation.size), grouped(split.test.size), unit_of(split.train),
      split.train.sample_shape);
  const Standardization found = standardization_of(split, options.data);
  const bool columns = !data.schema.empty() && data.schema.shape.rank() == 1;
  if (!columns)
    say("mean {}, standard deviation {}\n", numbers(data.schema.in_units(found.mean)), numbers(found.std));
  if (!data.schema.empty()) {
    if (columns) say("columns: {}\n", columns_text(data.schema, found));
    if (data.missing.rows > 0)
      say("missing: {}{}\n", text_of(data.missing),
          undecided ? "; train with --missing drop, which leaves these rows out, or --missing mean, which "
                      "reads the "
                      "mean of the column, or of texts a category of its own"
                    : "");
    for (const std::string& named : left_out) say("left out: {}\n", named);
    say("to predict: {}\n", targets_text(data.schema, options.data.label));
  }
  if (split.train.kind == TargetKind::values) {
    say("of the training samples:\n");
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
  if (options.action == "get") return get(options);
  check_effect(options.data, options.given);
  check<ValueError>(
      (options.action == "convert") == !options.to.empty(),
      "`ballast data convert` takes --to, as get may; the others don't; see ballast data --help");
  check<ValueError>(options.mirror.empty(), "--mirror has no effect here: it is for `ballast data get`");
  check<ValueError>(options.action == "preview" || !options.given.contains("augment"),
                    "--augment has no effect here: it is for `ballast data preview`");
  check<ValueError>(options.action != "preview" || !options.sheet.empty(),
                    "`ballast data preview` draws into a PNG file; name it with --sheet");
  if (options.action == "preview") return preview(options);
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
  OptionList options = {
      {.name = "ACTION",
       .value = &o.action,
       .help = "info: what the data are; preview: draw what --augment does to them; convert: "
               "write them in another format; get: fetch a data set from the network: " +
               help_of(remote_data_sets()),
       .choices = {"info", "preview", "convert", "get"},
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
                         "npz is a file; images with classes only; of get: the folder to write [DATA]",
                     .placeholder = "FORMAT:PATH"});
  options.push_back(
      {.name = "mirror",
       .value = &o.mirror,
       .help = "of get: address of a folder that has the files, instead of those that are known",
       .placeholder = "URL"});
  options.push_back({.name = "sheet",
                     .value = &o.sheet,
                     .help = "draw into this PNG file, a row for each class: the first training images; of "
                             "preview, the first one and how it is changed",
                     .placeholder = "FILE"});
  options.push_back({.name = "augment",
                     .value = &o.augment,
                     .help = "of preview: random changes of the images: " + augmentation_help()});
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
const Command data{"data", "look at data before training on them, convert or fetch them", description(),
                   "Examples:\n"
                   "  ballast data info photos/ --sheet sheet.png    a folder of images, and a look at them\n"
                   "  ballast data info table.csv --label price      a table\n"
                   "  ballast data preview photos/ --augment \"rotate 10, flip\" --sheet changed.png\n"
                   "  ballast data get mnist                         into a folder of that name\n"
                   "  ballast data convert mnist/ --to npz:mnist.npz",
                   invocation(list, run)};

}  // namespace ballast::app
