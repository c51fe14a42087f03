#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "../temp_folder.h"

/// The data of a page, as they are in the file; `kind`: runs, or sections (an experiment).
inline nlohmann::ordered_json page_data(const std::string& path, const std::string& kind = "runs") {
  const std::string page = read_all(path), before = "data-kind=\"" + kind + "\">";
  const size_t begin = page.find(before) + before.size();
  return nlohmann::ordered_json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}
