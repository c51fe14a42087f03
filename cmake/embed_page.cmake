# cmake -DFOLDER=apps/page -DCHART=chart.min.js -DOUT=page_template.cpp -P embed_page.cmake: page.html with its style and its
# scripts as a string of C++.
file(READ ${FOLDER}/page.html page)
file(READ ${FOLDER}/page.css style)
file(READ ${CHART} chart)
set(script)
foreach(name page cube sections layers runs start)
  file(READ ${FOLDER}/${name}.js part)
  string(APPEND script "${part}")
endforeach()
foreach(name STYLE CHART SCRIPT)
  string(TOLOWER ${name} content)
  string(REPLACE "@${name}@" "${${content}}" page "${page}")
endforeach()
file(WRITE ${OUT} "#include <string_view>
namespace ballast::app {
extern const std::string_view page_template;
const std::string_view page_template = R\"~~~(${page})~~~\";
}  // namespace ballast::app
")
