#pragma once

#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// The three switches of freezing, each on its own.
struct Freezing {
  bool parameters = false;  // constants: no gradient, no update
  bool stats = false;       // running statistics stay as they are
  bool mode = false;        // evaluates even while a tape trains the rest
};

/// The names that a pattern matched.
struct FreezeReport {
  std::vector<std::string> modules, parameters;
};

/// Freezes what `pattern` names, for transfer learning: `freeze(model, "features.*", {.stats = true})`. A
/// pattern is a glob (`*` any text, dots too; `?` one character; `[ab]` one of these) for the path of a
/// module, which takes in all below it, or of a single parameter; "*" is everything. By default only
/// parameters are frozen. Throws UsageError, listing the names there are, when nothing matches.
FreezeReport freeze(Module& model, const std::string& pattern, const Freezing& what = {.parameters = true});
/// Undoes `freeze`. Statistics and mode of the modules around what it names are released too, since a frozen
/// module holds for all it calls.
FreezeReport unfreeze(Module& model, const std::string& pattern, const Freezing& what = {.parameters = true});

}  // namespace ballast::inline BALLAST_PRECISION
