#include "methods/moe/projectors.h"

#include <ATen/ATen.h>

#include <cmath>

#include "methods/moe/sequence_rows.h"

namespace assay {

at::Tensor projector(Projectors kind, const TensorParts& tensor, at::IntArrayRef shape) {
  const int64_t rows = shape[0], columns = shape[1];
  if (kind == Projectors::kIdentity || (kind == Projectors::kWhereNeeded && rows == columns))
    return at::eye(rows, columns, at::kFloat);
  return random_rows(tensor, shape) / std::sqrt(static_cast<double>(columns));
}

}  // namespace assay
