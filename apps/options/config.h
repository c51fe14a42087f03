#pragma once

#include <string>

#include "options/options.h"

namespace ballast::app {

/// Reads a TOML file of options, such as a run's config.toml, into `options`, leaving those in
/// `options.given` as they are. `path` may be the folder of a run. Throws FileError naming the line: OPEN,
/// SYNTAX, KEY for an unknown name, VALUE.
void read_config(const std::string& path, TrainOptions& options);

}  // namespace ballast::app
