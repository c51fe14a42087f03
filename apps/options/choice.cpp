#include "options/choice.h"

#include <algorithm>

namespace ballast::app {

void check_known(std::string_view option, std::string_view name, const std::vector<std::string>& known) {
  if (std::ranges::find(known, name) != known.end()) return;
  throw ValueError(fmt::format("unknown {} \"{}\"{}", option, name, suggestion_or_all(name, known)));
}

}  // namespace ballast::app
