#include <ATen/ATen.h>

#include "harness/method/modifier.h"

namespace assay {
namespace {

/// The second step of TIES, before any method on task vectors: entries whose sign is not the
/// elected one are set to 0.
struct ElectSign {
  enum class By { kMass, kCount };

  static constexpr MethodInfo info{
      .name = "elect_sign",
      .paper = "arXiv:2306.01708 §3",
      .summary = "elects a sign per entry and drops what disagrees, for another method to merge",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})"};
  By by = By::kMass;

  void parameters(auto&& p) {
    p(by,
      {.name = "by",
       .choices = {"mass", "count"},
       .help = "the sign of the sum of the entries, or that of most of them; where it is zero, no "
               "entry is kept"});
  }
  std::vector<at::Tensor> experts(const TensorJob& part) const {
    const at::Tensor base = part.base.to(at::kFloat);
    std::vector<at::Tensor> deltas;
    at::Tensor votes = at::zeros_like(base);
    for (const at::Tensor& expert : part.experts) {
      deltas.push_back(expert.to(at::kFloat) - base);
      votes += by == By::kMass ? deltas.back() : deltas.back().sign();
    }
    std::vector<at::Tensor> elected;
    for (size_t i = 0; i < deltas.size(); ++i)
      elected.push_back(
          at::where(deltas[i] * votes.sign() > 0, part.experts[i].to(at::kFloat), base));
    return elected;
  }
};

ASSAY_MODIFIER(ElectSign)

}  // namespace
}  // namespace assay
