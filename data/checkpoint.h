#pragma once

#include <map>
#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// A model or optimizer whose names get a prefix in the file: {"model", net} stores "model.fc.weight".
template <class P>
struct Named {
  std::string name;
  P& parts;
};

/// Writes everything that `visit` lists to a safetensors file, atomically: parameters and buffers as `real`,
/// counters as int64 scalars, a shared parameter under each of its names. PyTorch's
/// `load_state_dict(strict=True)` takes it. Throws FileError WRITE when the disk refuses, NAME, SCHEMA or
/// DUPKEY for names that don't fit in one file, UsageError when a buffer was updated that no `visit` lists.
void save(const std::string& path, const Parts& parts, std::map<std::string, std::string> metadata = {});
/// Several in one file: `save(path, {{"model", net}, {"optimizer", optimizer}})`.
void save(const std::string& path, const std::vector<Named<const Parts>>& several,
          std::map<std::string, std::string> metadata = {});

struct LoadOptions {
  /// The file and the module must have the same names and shapes; otherwise what has both in common is
  /// loaded.
  bool strict = true;
};

/// What `load` found, by name. `mismatched` ones differ in shape and say so: "'fc.bias': file (3), model
/// (4)".
struct LoadReport {
  std::vector<std::string> matched, missing, unexpected, mismatched;
};

/// Reads what `save` or PyTorch wrote, in place, from F32, F64, F16 or BF16. Everything is checked and read
/// before the first value changes: on an error the module is as it was. Throws FileError MODEL listing every
/// difference in names and shapes when strict, and SafetensorsFile's errors. A shared parameter may lack all
/// but one of its names; a counter num_batches_tracked may be missing, and then stays as it is, as in
/// PyTorch.
LoadReport load(const std::string& path, Parts& parts, const LoadOptions& options = {});
LoadReport load(const std::string& path, const std::vector<Named<Parts>>& several,
                const LoadOptions& options = {});

}  // namespace ballast::inline BALLAST_PRECISION
