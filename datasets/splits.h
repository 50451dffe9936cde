/// Splits for loaders: fixed, disjoint by content, reproducible from a seed in the manifest.
#pragma once

#include <vector>

#include "harness/core/json.h"
#include "harness/task/dataset.h"

namespace assay {

/// Ascending indices of the items to keep: the first of identical images, but none of identical
/// images with different labels. `images` [n, ...], contiguous; `labels` int64 [n].
std::vector<int64_t> without_duplicates(const at::Tensor& images, const at::Tensor& labels);

/// Drops duplicates, then divides the items of each label by a seeded permutation. `splits` has
/// "seed" and the fractions "train", "validation" and "test", which sum to 1: the first two are
/// rounded, the rest is test. UserError on anything else.
ImageDataset split_by_label(const at::Tensor& images, const at::Tensor& labels, JsonReader splits);

/// The same items in a seeded random order.
ImageDataset shuffled(const ImageDataset& dataset, uint64_t seed);

}  // namespace assay
