#include <fmt/format.h>

#include "commands/command.h"
#include "output.h"
#include "trainer/run_page.h"

namespace ballast::app {
namespace {

struct ReportOptions {
  std::vector<std::string> folders;
  std::string out;
  Given given;
};

int run(const ReportOptions& options) {
  const std::string path = !options.out.empty()         ? options.out
                           : options.folders.size() > 1 ? "report.html"
                                                        : options.folders[0] + "/report.html";
  write_run_page(read_runs(options.folders), path);
  say("written: {}\n", path);
  return 0;
}

OptionList list(ReportOptions& o) {
  return {{.name = "RUNS",
           .value = &o.folders,
           .help = "folders of runs, or one that has runs in it, as of compare",
           .positional = true,
           .required = true},
          {.name = "out",
           .value = &o.out,
           .help = "the page to write [report.html, of one run in its folder]",
           .placeholder = "FILE"}};
}

}  // namespace

extern const Command report;
const Command report{
    "report", "draw a run, or several over one another, as a page",
    "Writes a page to look at in a browser, in one file that needs no network: loss, accuracy and learning\n"
    "rate, the confusion matrix, precision and recall of each class, the most confident mistakes, the "
    "layers,\n"
    "the options and the machine; of several runs their curves over one another and a table. Runs that "
    "differ\n"
    "in the seed alone are drawn as their mean with a band from the least to the largest. Training\n"
    "writes the page of its run by itself.",
    "Examples:\n"
    "  ballast report runs/a                        again, into runs/a/report.html\n"
    "  ballast report runs/a runs/b -o both.html    two runs over one another",
    invocation(list, run)};

}  // namespace ballast::app
