#include "methods/permute/permuted_job.h"

#include <ATen/ATen.h>

#include "harness/method/engine_handle.h"
#include "harness/method/passed_handle.h"

namespace assay {
namespace {

/// Hands on to the merge's engine, but for the evidence.
class MatchedHandle final : public EngineHandle {
 public:
  MatchedHandle(const TensorJob& outer, const Evidence& matched)
      : outer_(outer), matched_(matched) {}
  uint64_t expert_key(size_t expert) const override { return outer_.expert_key(expert); }
  void report(const std::string& name, double value) override { outer_.report(name, value); }
  const Evidence* evidence() const override { return &matched_; }

 private:
  const TensorJob outer_;
  const Evidence& matched_;
};

}  // namespace

TensorJob PermutedJob::permuted(const TensorJob& tensor, const UnitGroups& groups,
                                const std::vector<std::vector<UnitOrder>>& orders,
                                const Evidence& matched) {
  std::vector<at::Tensor> experts = tensor.experts;
  for (size_t i = 0; i < experts.size(); ++i)
    if (!orders[i].empty()) experts[i] = groups.reordered(tensor.name, experts[i], orders[i]);
  TensorJob made(tensor.name, std::make_shared<MatchedHandle>(tensor, matched));
  made.base = tensor.base;
  made.experts = std::move(experts);
  made.offset = tensor.offset;
  return made;
}

TensorParts PermutedJob::parts(const std::string& name) const { return parts_of(tensor(name)); }

TensorJob PermutedJob::tensor(const std::string& name) const {
  return permuted(job_.tensor(name), groups_, orders_, matched_);
}

}  // namespace assay
