/// Converters of datasets whose files are no texts yet, such as whole packages.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "harness/task/dataset.h"

namespace assay {

/// Makes the text files that tasks name, DATASET/NAME, of a dataset's fetched files; the manifest's
/// "loader" names it. DataError naming the file when its content is not as expected, UserError on
/// unknown or wrong options. `version` is part of the dataset's hash: change it whenever the same
/// files give other texts.
struct TextConverter {
  /// Contents by name; a pure function of the fetched files and the options.
  std::function<std::map<std::string, std::string>(const DatasetManifest&)> convert;
  std::string version;
};
Registry<TextConverter>& text_converters();

/// Null for datasets of images, and where tasks name the fetched files themselves.
const TextConverter* converter_of(const DatasetManifest& manifest);

}  // namespace assay

#define ASSAY_TEXT_CONVERTER(name, function, version)                                \
  ASSAY_REGISTER([] {                                                                \
    ::assay::text_converters().add(name, ::assay::TextConverter{function, version}); \
  })
