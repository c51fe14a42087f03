#pragma once

#include <map>
#include <string>

#include <ballast/data/standardization.h>

#include "options/options.h"
#include "trainer/table.h"

namespace ballast::app {

/// Tells one data set from another: sizes, and hashes (XXH3) of the images and of the targets in each part,
/// as they are read from the disk. Values as text, by name.
using Fingerprint = std::map<std::string, std::string>;

/// The data that the options name: as they are read from the disk, but split where they lack a part.
struct LoadedData {
  Split split;
  TableSchema schema = {};     // of tables
  MissingValues missing = {};  // of tables
};

/// Reads missing numbers (NaN) as the fills of the schema's columns, which are measured in the training part
/// unless the schema has them.
void fill_missing(Split& split, TableSchema& schema);

/// `known` is the schema of the table that a model was trained on, by which this one is to be read.
/// `trained` is the fingerprint of the data of a model that is to be tested, or null: samples that have no
/// test part are then all for the test, but of the model's own data the part that was split off for training
/// it.
LoadedData load_data(const DataOptions& options, const TableSchema* known = nullptr,
                     const Fingerprint* trained = nullptr);

/// What a sample is called: "image" or "sample".
const char* unit_of(const Dataset& data);

/// Mean and deviation of the training samples: of all pixels of grey images, of each channel of others, of
/// each column of a table. Throws ValueError, which names the data, if all values are the same.
Standardization standardization_of(const Split& split, const DataOptions& options);

/// Samples and, of a regression, targets as a model takes them.
Dataset prepared(Dataset dataset, const Standardization& inputs, const Standardization& targets);

/// Of these data.
Fingerprint fingerprint(const Split& split);

}  // namespace ballast::app
