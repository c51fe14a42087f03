#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "../temp_folder.h"

/// The data of a page of runs, as they are in the file.
inline nlohmann::ordered_json page_data(const std::string& path) {
  const std::string page = read_all(path), before = "data-kind=\"runs\">";
  const size_t begin = page.find(before) + before.size();
  return nlohmann::ordered_json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}
