/// Linear maps between the width of a member and that of all members of a routed ensemble.
#pragma once

#include <ATen/core/Tensor.h>

#include "harness/method/job.h"

namespace assay {

enum class Projectors { kWhereNeeded, kIdentity, kRandom };

/// Float32 of the shape [rows, columns] of the tensor: kWhereNeeded gives the identity where it is
/// square, else what kRandom does, normal random numbers of variance 1 / columns, so that lengths
/// stay much as they are; a stream for each row, keyed by the tensor. kIdentity: ones where row and
/// column are the same.
at::Tensor projector(Projectors kind, const TensorParts& tensor, at::IntArrayRef shape);

}  // namespace assay
