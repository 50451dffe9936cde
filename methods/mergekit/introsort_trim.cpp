#include "methods/mergekit/introsort_trim.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <span>

#include "harness/core/error.h"
#include "harness/core/thread_pool.h"
#include "harness/kernels/mergekit/tie_order.h"
#include "methods/dense/task_vectors.h"

namespace assay::mergekit {
namespace {

// So many elements are held in memory: several experts' of a small tensor, one's of a large one.
// All three experts' of an embedding of 32,000 tokens by 2,048, so that it is read once.
constexpr int64_t kMostElements = int64_t{3} << 26;

using Kept = std::vector<uint64_t>;  // the threshold's bits, then the mask or nothing

/// In one pass over the tensor.
std::vector<Kept> select(const TensorParts& tensor, const std::vector<DeltaTerm>& terms,
                         Compute compute, const std::vector<const IntrosortTrim*>& trims) {
  const DType dtype = rounding(compute, tensor.dtype());
  const bool fits = tensor.memory().fits(TieOrder::key_bytes(tensor.elements(), dtype));
  std::vector<TieOrder> orders;
  for (const IntrosortTrim* trim : trims)
    orders.emplace_back(tensor.elements(), trim->kept, dtype, fits ? "" : tensor.memory().scratch);
  tensor.for_each([&](const TensorJob& part) {
    const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
    for (size_t k = 0; k < trims.size(); ++k) {
      const size_t i = trims[k]->expert;
      orders[k].feed(part.base, part.experts[i], rounded[i], part.offset);
    }
  });
  std::vector<Kept> kept(trims.size());
  ThreadPool::shared().run(at::get_num_threads(), std::ssize(trims), [&](IndexQueue& indices) {
    while (const auto index = indices.next()) {
      const auto k = static_cast<size_t>(*index);
      const TieOrder::Selection selected = orders[k].select();
      kept[k] = {selected.bits};
      kept[k].insert(kept[k].end(), selected.keep_mask.begin(), selected.keep_mask.end());
    }
  });
  return kept;
}

}  // namespace

void check_introsort(const ModelJob& job) {
  for (const std::string& name : job.names())
    if (const int64_t elements = job.parts(name).elements(); elements >= TieOrder::kMostElements)
      user_error("trim.ties 'introsort' takes tensors of fewer than {} elements; '{}' has {}",
                 TieOrder::kMostElements, name, elements);
}

int64_t introsort_bytes(const TensorInfo& tensor, Compute compute) {
  const bool bfloat16 = compute == Compute::kStorage && tensor.dtype == at::kBFloat16;
  return TieOrder::key_bytes(tensor.numel(), bfloat16 ? DType::kBFloat16 : DType::kFloat32);
}

std::vector<KeepMask> introsort_trim(const TensorParts& tensor,
                                     const std::vector<IntrosortTrim>& trims, Compute compute,
                                     std::vector<DeltaTerm>& terms) {
  const int64_t elements = tensor.elements();
  const std::vector<DeltaTerm> untrimmed = terms;
  std::vector<KeepMask> masks(terms.size());
  const auto fits = [&](size_t experts) {
    const DType dtype = rounding(compute, tensor.dtype());
    return tensor.memory().fits(static_cast<int64_t>(experts) *
                                TieOrder::key_bytes(elements, dtype));
  };
  auto together =
      std::min(trims.size(), static_cast<size_t>(std::max<int64_t>(1, kMostElements / elements)));
  while (together > 1 && !fits(together)) --together;
  for (size_t begin = 0; begin < trims.size(); begin += together) {
    const auto some = std::span(trims).subspan(begin, std::min(together, trims.size() - begin));
    std::vector<std::string> keys;
    for (const IntrosortTrim& trim : some) keys.push_back("introsort " + trim.key);
    const auto kept = tensor.cached<Kept>(keys, [&](const std::vector<size_t>& missing) {
      std::vector<const IntrosortTrim*> selected;
      for (const size_t k : missing) selected.push_back(&some[k]);
      return select(tensor, untrimmed, compute, selected);
    });
    for (size_t k = 0; k < some.size(); ++k) {
      DeltaTerm& term = terms[some[k].expert];
      term.threshold = static_cast<uint32_t>(kept[k].front());
      if (kept[k].size() == 1) continue;
      KeepMask& mask = masks[some[k].expert];
      mask = std::make_shared<const Kept>(kept[k].begin() + 1, kept[k].end());
      term.keep_mask = mask->data();
    }
  }
  return masks;
}

}  // namespace assay::mergekit
