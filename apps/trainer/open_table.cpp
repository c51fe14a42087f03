#include <filesystem>

#include "trainer/formats.h"

namespace ballast::app {

namespace fs = std::filesystem;

OpenedData open_table(const std::string& path, const DataOptions& options, const TableSchema* known) {
  const auto read = [&](const std::string& file) {
    CsvOptions csv;
    if (known)
      for (const TableColumn& column : known->inputs)
        if (!column.texts.empty()) csv.text.push_back(column.name);
    return read_csv(file, csv);
  };
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const CsvTable table = read(path);
    OpenedData opened{
        .split = {},
        .schema = known ? *known : schema_of(table, {options.label, options.task, sample_shape(options)})};
    opened.split.train = table_dataset(table, opened.schema);
    return opened;
  }
  // A folder with a table for each part.
  OpenedData opened;
  const auto part = [&](const char* name) -> Dataset {
    for (const char* extension : {".csv", ".tsv", ".csv.gz", ".tsv.gz"}) {
      const std::string file = path + "/" + name + extension;
      if (!fs::exists(file)) continue;
      const CsvTable table = read(file);
      if (opened.schema.empty())
        opened.schema =
            known ? *known : schema_of(table, {options.label, options.task, sample_shape(options)});
      return table_dataset(table, opened.schema);
    }
    return {};
  };
  opened.split.train = part("train");
  opened.split.validation = part("validation");
  if (opened.split.validation.size == 0) opened.split.validation = part("val");
  opened.split.test = part("test");
  return opened;
}

}  // namespace ballast::app
