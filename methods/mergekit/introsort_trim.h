/// mergekit's trim: of a task vector those entries are kept that its sort by magnitude, which is
/// not stable, puts first.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/kernels/task_vector/delta.h"
#include "methods/dense/weights.h"

namespace assay::mergekit {

/// What is to be kept of one expert's task vector.
struct IntrosortTrim {
  size_t expert;
  int64_t kept;     ///< how many entries, at least 1 and not all
  std::string key;  ///< of all that this depends on: see TensorParts::delta_key()
};

/// The bits of entries that tie at a threshold: DeltaTerm::keep_mask.
using KeepMask = std::shared_ptr<const std::vector<uint64_t>>;

/// UserError where a tensor has too many elements for the sort.
void check_introsort(const ModelJob& job);

/// Of the keys of one expert's elements, which the sort holds.
int64_t introsort_bytes(const TensorInfo& tensor, Compute compute);

/// Sets thresholds and masks of the terms, which are untrimmed and one per expert; returns a mask
/// per expert, null where all ties are kept. Reads the tensor once, or more often where memory does
/// not hold the keys of all experts.
std::vector<KeepMask> introsort_trim(const TensorParts& tensor,
                                     const std::vector<IntrosortTrim>& trims, Compute compute,
                                     std::vector<DeltaTerm>& terms);

}  // namespace assay::mergekit
