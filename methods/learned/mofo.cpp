#include "methods/learned/mofo.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

namespace assay {

Mofo::Mofo(std::vector<at::Tensor> parameters, torch::optim::AdamWOptions options, double share)
    : parameters_(std::move(parameters)), adam_(parameters_, std::move(options)), share_(share) {}

void Mofo::set_learning_rate(double rate) {
  for (torch::optim::OptimizerParamGroup& group : adam_.param_groups())
    group.options().set_lr(rate);
}

void Mofo::step() {
  const c10::NoGradGuard no_gradients;
  std::vector<at::Tensor> before;
  if (share_ < 1)
    for (const at::Tensor& parameter : parameters_) before.push_back(parameter.detach().clone());
  adam_.step();
  const auto& options =
      static_cast<const torch::optim::AdamWOptions&>(adam_.param_groups().front().options());
  const double decay = 1 - options.lr() * options.weight_decay();
  for (size_t i = 0; i < before.size(); ++i) {
    const auto state = adam_.state().find(parameters_[i].unsafeGetTensorImpl());
    if (!parameters_[i].grad().defined() || state == adam_.state().end()) continue;
    const at::Tensor momentum =
        static_cast<const torch::optim::AdamWParamState&>(*state->second).exp_avg().abs();
    const auto kept =
        std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(momentum.size(1)) * share_));
    const at::Tensor least = std::get<0>(momentum.topk(kept, 1)).narrow(1, kept - 1, 1);
    parameters_[i].copy_(at::where(momentum >= least, parameters_[i], before[i] * decay));
  }
  adam_.zero_grad();
}

}  // namespace assay
