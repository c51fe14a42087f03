#include <filesystem>

#include "trainer/formats.h"
#include "trainer/table_file.h"

namespace ballast::app {

namespace fs = std::filesystem;

OpenedData open_table(const std::string& path, const DataOptions& options, const TableSchema* known) {
  OpenedData opened;
  if (known) opened.schema = *known;
  const auto read = [&](const std::string& file) {
    TableFile found = read_table(file, options, opened.schema.empty() ? nullptr : &opened.schema);
    opened.schema = std::move(found.schema);
    opened.missing = std::move(opened.missing) + found.missing;
    return table_dataset(found.table, opened.schema);
  };
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    opened.split.train = read(path);
    return opened;
  }
  // A folder with a table for each part.
  const auto part = [&](const char* name) -> Dataset {
    for (const char* extension : {".csv", ".tsv", ".csv.gz", ".tsv.gz"})
      if (const std::string file = path + "/" + name + extension; fs::exists(file)) return read(file);
    return {};
  };
  opened.split.train = part("train");
  opened.split.validation = part("validation");
  if (opened.split.validation.size == 0) opened.split.validation = part("val");
  opened.split.test = part("test");
  return opened;
}

}  // namespace ballast::app
