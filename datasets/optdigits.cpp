// UCI optical recognition of handwritten digits, as packed by scikit-learn: lines of 64 counts in
// 0..16 and the label. Enlarged to the size of MNIST's digits within their images.
#include <ATen/ATen.h>

#include "datasets/decode.h"
#include "datasets/splits.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/gzip.h"

namespace assay {
namespace {

ImageDataset load_optdigits(const DatasetManifest& manifest) {
  const fs::path path = manifest.path(manifest.file("digits.csv.gz"));
  constexpr int64_t kPixels = int64_t{8} * 8, kDigitSide = 20;
  constexpr double kMaxCount = 16;
  const at::Tensor table =
      read_byte_csv(gunzip(read_file(path), path.string()), kPixels + 1, path.string());
  const at::Tensor counts = table.narrow(1, 0, kPixels).to(at::kFloat);
  if (counts.max().item<float>() > kMaxCount)
    data_error("{}: a count is above {}", path.string(), kMaxCount);
  const at::Tensor labels = table.select(1, kPixels).to(at::kLong).contiguous();

  JsonReader options(manifest.options, fmt::format("dataset '{}': options", manifest.name));
  const JsonReader splits = options.at("splits");
  options.finish();
  const at::Tensor digits = resize_bilinear(counts.div(kMaxCount).reshape({-1, 8, 8}), kDigitSide);
  return split_by_label(centre_in_28(digits), labels, splits);
}

ASSAY_DATASET_LOADER("optdigits", load_optdigits, "1")

}  // namespace
}  // namespace assay
