// Pages: one file with everything in it.
#include "page/page.h"

#include <doctest/doctest.h>

#include "../temp_folder.h"

using namespace ballast;
using namespace ballast::app;

namespace {

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return found;
}

}  // namespace

TEST_CASE("page: one HTML file whose data can't end their element or the title's, and that asks no network") {
  const TempFolder folder;
  const std::string path = folder / "page.html";
  write_page(path, "sections", "a <b> & \"c\"",
             R"({"sections": [], "summary": "</script><script>@TITLE@ @DATA@"})");
  const std::string page = read_all(path);
  CHECK(page.find("<title>a &lt;b> &amp; &quot;c&quot;</title>") != std::string::npos);
  CHECK(
      page.find(
          R"(data-kind="sections">{"sections": [], "summary": "\u003c/script>\u003cscript>@TITLE@ @DATA@"}</script>)") !=
      std::string::npos);
  CHECK(count(page, "</script>") == 3);  // of the data, of Chart.js and of the page's own script
  CHECK(page.find("default-src 'none'") != std::string::npos);
  CHECK(page.find("src=\"http") == std::string::npos);
  CHECK(page.find("pages.sections") != std::string::npos);
  CHECK(page.find("Chart.js v3") != std::string::npos);
  CHECK(page.ends_with("</html>\n"));
}
