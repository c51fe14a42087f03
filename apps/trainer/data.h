#pragma once

#include <map>
#include <string>

#include <ballast/data/standardization.h>

#include "options/options.h"

namespace ballast::app {

/// The data that the options name, as they are read from the disk.
Split load_data(const DataOptions& options);

/// Mean and deviation of the training images. Throws ValueError, which names the data, if they are all of one
/// value.
Standardization standardization_of(const Split& split, const DataOptions& options);

/// Tells one data set from another: sizes, and hashes (XXH3) of the images and of the targets in both parts,
/// as they are read from the disk. Values as text, by name.
using Fingerprint = std::map<std::string, std::string>;
Fingerprint fingerprint(const Split& split);

}  // namespace ballast::app
