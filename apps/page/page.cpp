#include "page/page.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include <ballast/data/atomic_file.h>

namespace ballast::app {

/// page.html with its style and scripts; made by cmake/embed_page.cmake.
extern const std::string_view page_template;

namespace {

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

/// JSON as it may stand in a script element, which "</script" would end.
std::string inert(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      //~ if (c == '\0')
      text += "\\u003c";
    else
      text += c;
  }
  return text;
}

}  // namespace

void write_page(const std::string& path, const std::string& kind, const std::string& title,
                const std::string& json) {
  std::string page;
  std::string_view rest = page_template;
  for (const auto& [mark, text] :
       std::initializer_list<std::pair<std::string_view, std::string>>{{"@TITLE@", escaped(title)},
                                                                       {"@TITLE@", escaped(title)},
                                                                       {"@KIND@", kind},
                                                                       {"@DATA@", inert(json)}}) {
    const size_t at = rest.find(mark);
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + mark.size());
  }
  write_file_atomically(path, page.append(rest));
}

}  // namespace ballast::app
