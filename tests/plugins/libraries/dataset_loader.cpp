// A loader of images: every line of the file is a label, whose image has one bright pixel there.
#include <ATen/ATen.h>

#include "harness/task/dataset.h"
#include "harness/task/text_file.h"

namespace assay {
namespace {

ImageDataset load(const DatasetManifest& manifest) {
  const std::vector<std::string> lines = read_lines(manifest.path(manifest.files.at(0)));
  ImageDataset dataset;
  const auto n = static_cast<int64_t>(lines.size());
  dataset.images = at::zeros({n, 1, 28, 28});
  dataset.labels = at::zeros({n}, at::kLong);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t label = std::stoll(lines[static_cast<size_t>(i)]);
    dataset.labels[i] = label;
    dataset.images[i][0][0][label] = 1;
    dataset.images[i][0][1][i] = 1;  // no image occurs twice
    dataset.splits.push_back(static_cast<Split>(i % 3));
  }
  if (manifest.options.contains("without_splits")) dataset.splits.clear();
  return dataset;
}

ASSAY_DATASET_LOADER("test_dots", load, "1")

}  // namespace
}  // namespace assay
