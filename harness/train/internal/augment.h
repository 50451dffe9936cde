/// Images as training sees them: shifted and mirrored at random.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "harness/train/recipe.h"

namespace assay {

/// Images [n, channels, height, width] of the examples at these places, each with zeros around it
/// cut to its size again, up to `crop` pixels off in each direction, and mirrored left to right
/// half of the time with `flip`. What is drawn depends on seed, step and place alone.
at::Tensor augmented(const at::Tensor& images, std::span<const int64_t> places,
                     const Augmentation& augmentation, uint64_t seed, int64_t step);

}  // namespace assay
