#include "methods/mergekit/l1_match.h"

#include <ATen/core/Tensor.h>

#include "harness/kernels/task_vector/delta_statistics.h"
#include "methods/dense/task_vectors.h"
#include "methods/mergekit/rules.h"

namespace assay::mergekit {
namespace {

/// L1 norms of a whole task vector and of what a drop left of it, rounded to the dtype that they
/// are computed with.
struct Norms {
  float whole, left;
  DType rounding;
};

}  // namespace

void match_l1(const TensorParts& tensor, Compute compute, std::vector<DeltaTerm>& terms) {
  std::vector<size_t> dropped;
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i].drop > 0) dropped.push_back(i);
  std::vector<std::string> keys;
  for (const size_t i : dropped)
    keys.push_back(fmt::format("l1 norms {} {} {} {}", tensor.delta_key(i),
                               static_cast<int>(compute), terms[i].drop, terms[i].key));
  const auto norms = tensor.cached<Norms>(keys, [&](const std::vector<size_t>& missing) {
    std::vector<DeltaNorms> sums(missing.size());
    DType used = DType::kFloat32;
    tensor.for_each([&](const TensorJob& part) {
      const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
      // Norms of float16 are those of float32.
      if (rounding(compute, part.base) == DType::kBFloat16) used = DType::kBFloat16;
      for (size_t k = 0; k < missing.size(); ++k) {
        const size_t i = dropped[missing[k]];
        const DeltaNorms here = delta_l1_norms(part.base, part.experts[i], rounded[i], part.offset);
        sums[k].whole += here.whole;
        sums[k].left += here.left;
      }
    });
    std::vector<Norms> found;
    for (const DeltaNorms& sum : sums)
      found.push_back({round_to(static_cast<float>(sum.whole), used),
                       round_to(static_cast<float>(sum.left), used), used});
    return found;
  });
  for (size_t k = 0; k < dropped.size(); ++k) {
    const auto& [whole, left, used] = norms[k];
    if (whole >= kMinNorm && left >= kMinNorm)
      terms[dropped[k]].rescale = round_to(whole / left, used);
  }
}

}  // namespace assay::mergekit
