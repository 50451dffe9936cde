#include <algorithm>

#include "methods/dense/reinforced_sum.h"

namespace assay {
namespace {

/// RAM+: RAM in which changes that one expert alone made are multiplied by a factor. The larger
/// the share of its changes that others made, too, the larger it is, as averaging weakens those.
struct RamPlus {
  enum class Scope { kModel, kTensor };

  static constexpr MethodInfo info{
      .name = "ram_plus",
      .paper = "arXiv:2601.13572 §4",
      .summary = "RAM, in which what one expert alone changed is strengthened",
      .needs = {.base = true},
      .identity = R"({"epsilon": 0})",
      .flops = "(9 N + 1) d"};
  static constexpr Preset presets[] = {{"mergekit", R"({"compute": "storage", "scope": "tensor"})",
                                        "mergekit's ramplus_tl: a factor for each tensor"}};
  ReinforcedSum sum;
  double r = 0.1;
  double alpha = 0.2;
  Scope scope = Scope::kModel;

  void parameters(auto&& p) {
    sum.parameters(p);
    p(r, {.name = "r",
          .range = {0, 10},
          .sweep = {0.1, 0.5, 1},
          .help = "how much the factor grows: it is 1 + r min(shared / unique, alpha)"});
    p(alpha, {.name = "alpha",
              .range = {0, 10},
              .sweep = {0.2, 0.5, 1},
              .help = "the largest ratio of shared to unique changes that counts"});
    p(scope, {.name = "scope",
              .choices = {"model", "tensor"},
              .help = "whether changes are counted over each whole model or in each tensor"});
  }

  void prepare(const ModelJob& job) {
    if (scope != Scope::kModel) return;
    std::vector<std::vector<ChangeCounts>> tensors(job.names().size());
    job.for_each([&](size_t k) { tensors[k] = counts(job.parts(job.names()[k])); });
    std::vector<ChangeCounts> total(job.num_experts());
    for (const auto& tensor : tensors) add(tensor, total);
    model_factors_ = factors(total);
  }
  /// A factor per expert.
  std::vector<double> measure(const TensorParts& tensor) const {
    return scope == Scope::kModel ? model_factors_ : factors(counts(tensor));
  }
  at::Tensor merge(const TensorJob& part, const std::vector<double>& of_experts) const {
    return sum.merge(part, of_experts);
  }

 private:
  static void add(const std::vector<ChangeCounts>& some, std::vector<ChangeCounts>& total) {
    for (size_t i = 0; i < total.size(); ++i) {
      total[i].shared += some[i].shared;
      total[i].unique += some[i].unique;
    }
  }
  std::vector<ChangeCounts> counts(const TensorParts& tensor) const {
    std::vector<ChangeCounts> total(tensor.num_experts());
    tensor.for_each([&](const TensorJob& part) { add(sum.counts(part), total); });
    return total;
  }
  std::vector<double> factors(const std::vector<ChangeCounts>& counts) const {
    std::vector<double> factors;
    for (const auto& [shared, unique] : counts) {
      const auto most = static_cast<float>(alpha);
      const float ratio = unique > 0   ? static_cast<float>(shared) / static_cast<float>(unique)
                          : shared > 0 ? most
                                       : 0;
      factors.push_back(1 + static_cast<float>(r) * std::min(ratio, most));
    }
    return factors;
  }

  std::vector<double> model_factors_;
};

ASSAY_METHOD(RamPlus)

}  // namespace
}  // namespace assay
