#pragma once

#include <ballast/data/idx.h>

namespace ballast::inline BALLAST_PRECISION {

struct CifarFiles {
  LabeledImages train, test;         // 3 x 32 x 32
  std::vector<std::string> classes;  // their names; empty if there is no file of them
};

/// One file of CIFAR-10 in its binary version, whose records are a label and 3 x 32 x 32 pixels, or of
/// CIFAR-100, whose records begin with a coarse label, which is skipped, and a fine one. `classes` is 10 or
/// 100.
///
/// Throws FileError; its codes: MISSING, READ, MAGIC, TRUNC (less than one record), SIZE (no whole number of
/// records), LABEL (one from `classes` on).
LabeledImages read_cifar_file(const std::string& path, int classes);

/// A folder as its archive leaves it: data_batch_1.bin to data_batch_5.bin, test_batch.bin and
/// batches.meta.txt for CIFAR-10; train.bin, test.bin and fine_label_names.txt for CIFAR-100. Throws
/// FileError as for each file, and COUNT when there are names of another number of classes.
CifarFiles read_cifar(const std::string& folder);

}  // namespace ballast::inline BALLAST_PRECISION
