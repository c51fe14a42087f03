#pragma once

#include <string>

#include <ballast/data/dataset.h>

namespace ballast::app {

/// Writes images with class labels, byte for byte as their pixels are, in another format: "images" and
/// "mnist" into a folder, "csv" into a folder of train.csv and so on, "npz" into a file. Samples keep their
/// order, but that "images" sorts them by class. Throws ValueError for data that the format can't hold or if
/// `out` exists, and FileError WRITE.
void convert(const Split& split, const std::string& format, const std::string& out);

}  // namespace ballast::app
