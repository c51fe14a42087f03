#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <ballast/data/atomic_file.h>

#include "commands/command.h"
#include "output.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

struct DemoOptions {
  std::string page = "demo.html";
  Given given;
};

/// Where the page is: installed beside the program, or built beside the folder that the program was built in.
fs::path built_page() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  for (const char* place : {"share/ballast/demo.html", "demo/demo.html"})
    if (fs::exists(here / place)) return here / place;
  throw ValueError(fmt::format(
      "the page that trains live was not built together with this program: neither {} nor {} is there; "
      "apps/demo/build.sh of the sources builds it, and cmake --install puts it beside the program",
      (here / "share/ballast/demo.html").native(), (here / "demo/demo.html").native()));
}

int run(const DemoOptions& options) {
  const fs::path page = built_page();
  std::ostringstream text;
  text << std::ifstream(page, std::ios::binary).rdbuf();
  write_file_atomically(options.page, text.str());
  say("written: {}; open it in a browser, it needs no network\n", options.page);
  return 0;
}

OptionList list(DemoOptions& o) {
  return {{.name = "PAGE", .value = &o.page, .help = "the file to write", .positional = true}};
}

}  // namespace

extern const Command demo;
const Command demo{
    "demo", "write the page that trains two networks live",
    "One HTML file, in which this framework, compiled to WebAssembly, trains two networks on the built-in\n"
    "digits while one watches: with and without normalization, in five stories and with settings of one's "
    "own.",
    "Examples:\n"
    "  ballast demo                               into demo.html\n"
    "  ballast demo ~/normalization.html",
    invocation(list, run)};

}  // namespace ballast::app
