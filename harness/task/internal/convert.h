/// Text files that are made of a dataset's fetched files.
#pragma once

#include <string>
#include <vector>

#include "harness/task/dataset.h"

namespace assay {

/// Runs the manifest's converter and writes its files into the dataset's folder; converted.json
/// lists them with their checksums and the dataset's hash.
void convert_dataset(const DatasetManifest& manifest);

/// One message per file that is missing, damaged or made of other data; empty without a converter.
std::vector<std::string> conversion_problems(const DatasetManifest& manifest);

}  // namespace assay
