#include "harness/train/internal/augment.h"

#include <ATen/ATen.h>

#include "harness/core/hash.h"
#include "harness/core/rng.h"

namespace assay {

at::Tensor augmented(const at::Tensor& images, std::span<const int64_t> places,
                     const Augmentation& augmentation, uint64_t seed, int64_t step) {
  const int64_t crop = augmentation.crop;
  const int64_t height = images.size(2), width = images.size(3);
  const at::Tensor padded = at::constant_pad_nd(images, {crop, crop, crop, crop});
  at::Tensor seen = at::empty_like(images);
  for (size_t i = 0; i < places.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const uint64_t key = Hasher()
                             .number(seed)
                             .text("augment")
                             .number(static_cast<uint64_t>(step))
                             .number(static_cast<uint64_t>(places[i]))
                             .low64();
    Rng rng(key);
    const int64_t top = rng.below(2 * crop + 1), left = rng.below(2 * crop + 1);
    at::Tensor image = padded[row].narrow(1, top, height).narrow(2, left, width);
    if (augmentation.flip && rng.below(2) == 1) image = image.flip({2});
    seen[row].copy_(image);
  }
  return seen;
}

}  // namespace assay
