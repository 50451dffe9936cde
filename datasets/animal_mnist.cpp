// Animal silhouettes in MNIST's format: two gzipped pickles of numpy arrays, which are parsed as
// data and never executed. Its ten labels follow those of the digits: 10 (bear) to 19 (zebra).
#include <ATen/ATen.h>

#include <cstring>

#include "datasets/decode.h"
#include "datasets/splits.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/gzip.h"

namespace assay {
namespace {

constexpr int64_t kItems = 10000, kClasses = 10, kFirstLabel = 10;

at::Tensor read_array(const DatasetManifest& manifest, const std::string& name,
                      const std::string& dtype, const std::vector<int64_t>& shape,
                      at::ScalarType type) {
  const fs::path path = manifest.path(manifest.file(name));
  const std::string bytes =
      numpy_pickle_bytes(gunzip(read_file(path), path.string()), dtype, shape, path.string());
  at::Tensor out = at::empty(shape, type);
  std::memcpy(out.mutable_data_ptr(), bytes.data(), bytes.size());
  return out;
}

ImageDataset load_animal_mnist(const DatasetManifest& manifest) {
  const at::Tensor images =
      read_array(manifest, "animal_data_version_3.gz", "|u1", {kItems, 28, 28}, at::kByte);
  const at::Tensor labels =
      read_array(manifest, "animal_label_version_3.gz", "<i8", {kItems}, at::kLong);
  if (labels.min().item<int64_t>() < 0 || labels.max().item<int64_t>() >= kClasses)
    data_error("dataset '{}': a label is outside 0..{}", manifest.name, kClasses - 1);

  JsonReader options(manifest.options, fmt::format("dataset '{}': options", manifest.name));
  const JsonReader splits = options.at("splits");
  options.finish();
  return split_by_label(images.to(at::kFloat).div_(255.0).unsqueeze(1), labels + kFirstLabel,
                        splits);
}

ASSAY_DATASET_LOADER("animal_mnist", load_animal_mnist, "1")

}  // namespace
}  // namespace assay
