#include "harness/model/ensemble_rule.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr std::array<const char*, 4> kNames{"usual", "logits", "probabilities", "votes"};

}  // namespace

std::string ensemble_rule_name(EnsembleRule rule) { return kNames.at(static_cast<size_t>(rule)); }

EnsembleRule ensemble_rule_from_name(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<EnsembleRule>(i);
  throw UserError(unknown_name("rule", name, "an output ensemble", {kNames.begin(), kNames.end()}));
}

at::Tensor combined_logits(EnsembleRule rule, const std::vector<at::Tensor>& logits) {
  ASSAY_CHECK(!logits.empty(), "an ensemble without members");
  const auto members = static_cast<double>(logits.size());
  if (rule == EnsembleRule::kUsual || rule == EnsembleRule::kLogits) {
    at::Tensor sum = logits.front().clone();
    for (size_t i = 1; i < logits.size(); ++i) sum.add_(logits[i]);
    return sum.div_(members);
  }
  at::Tensor log_sum;  // of the probabilities
  for (const at::Tensor& one : logits) {
    const at::Tensor own = at::log_softmax(one, -1, at::kFloat);
    log_sum = log_sum.defined() ? at::logaddexp(log_sum, own) : own;
  }
  at::Tensor log_mean = log_sum - std::log(members);
  if (rule == EnsembleRule::kProbabilities) return log_mean;
  at::Tensor votes = log_mean.exp().div_(2);
  for (const at::Tensor& one : logits) {
    const at::Tensor best = one.argmax(-1, /*keepdim=*/true);
    votes.scatter_add_(-1, best, at::ones_like(best, votes.options()));
  }
  return votes;
}

}  // namespace assay
