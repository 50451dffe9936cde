/// Tables of Apache Parquet, as Hugging Face publishes data sets.
#pragma once

#include <vector>

#include "harness/task/text_file.h"

namespace assay {

/// The rows of a file, as the items of the same rows in JSON Lines: text, numbers, Booleans, nulls,
/// lists and structs of them. DataError naming the file, and the column of another type; UserError
/// where Assay was built without Parquet.
std::vector<TextItem> read_parquet(const fs::path& path);

/// Whether Assay was built with it (cmake/Parquet.cmake).
bool has_parquet();

}  // namespace assay
