#pragma once

#include <string>
#include <vector>

#include "options/choice.h"

namespace ballast::app {

/// A file of a data set that can be fetched, with its SHA-256 as TensorFlow Datasets publishes it.
struct RemoteFile {
  std::string name, sha256;
};

struct RemoteDataSet {
  /// Addresses of folders that hold the files, tried in this order.
  std::vector<std::string> mirrors;
  std::vector<RemoteFile> files;
};

/// The data sets that `ballast data get` knows.
const Choices<RemoteDataSet>& remote_data_sets();

/// Fetches a data set into `folder`, from `mirror` or, if that is "", from its own; what is there already is
/// left as it is, and a file that was begun is gone on with. Unpacks archives. Throws ValueError for a file
/// that no mirror has, or that has another checksum.
void fetch(const RemoteDataSet& set, const std::string& mirror, const std::string& folder);

}  // namespace ballast::app
