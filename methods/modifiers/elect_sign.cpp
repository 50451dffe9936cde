#include <ATen/ATen.h>

#include "harness/method/modifier.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// The second step of TIES, before any method on task vectors: entries whose sign is not the
/// elected one are set to 0.
struct ElectSign {
  static constexpr MethodInfo info{
      .name = "elect_sign",
      .paper = "arXiv:2306.01708 §3",
      .summary = "elects a sign per entry and drops what disagrees, for another method to merge",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops = "(8 N + 2) d with Task Arithmetic"};
  Elect by = Elect::kMass;

  void parameters(auto&& p) {
    p(by,
      {.name = "by",
       .choices = {"mass", "count"},
       .help = "the sign of the sum of the entries, or that of most of them; where it is zero, no "
               "entry is kept"});
  }
  std::vector<at::Tensor> experts(const TensorJob& part) const {
    const at::Tensor base = part.base.to(at::kFloat);
    const std::vector<at::Tensor> deltas = whole_deltas(part, Compute::kFloat32);
    // What agrees with the elected sign sums up to a value of that sign.
    const at::Tensor signs =
        delta_merge(at::zeros_like(base), deltas, std::vector<DeltaTerm>(deltas.size()),
                    {.reduce = Reduce::kSumAgree, .elect = by})
            .sign_();
    std::vector<at::Tensor> elected;
    for (size_t i = 0; i < deltas.size(); ++i)
      elected.push_back(at::where(deltas[i] * signs > 0, part.experts[i].to(at::kFloat), base));
    return elected;
  }
};

ASSAY_MODIFIER(ElectSign)

}  // namespace
}  // namespace assay
