#include "methods/learned/imitation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/core/error.h"

namespace assay {

ExpertScores highest(const at::Tensor& scores, int64_t top_k) {
  if (top_k == 0 || top_k >= scores.size(1)) return {scores, {}};
  const auto [values, classes] = scores.topk(top_k, 1);
  return {values, classes};
}

CachedScores::CachedScores(std::shared_ptr<const TensorSource> statistic, int64_t examples)
    : statistic_(std::move(statistic)), first_rows_(statistic_->read("first_rows")) {
  if (first_rows_.numel() != examples + 1)
    data_error("{}: the scores of {} examples, but the calibration data have {}",
               statistic_->label(), first_rows_.numel() - 1, examples);
  kept_ = statistic_->read("scores").size(1);
}

ExpertScores CachedScores::read(ExampleBatch batch, at::Device device) const {
  const auto rows = first_rows_.accessor<int64_t, 1>();
  const int64_t first = rows[batch.first], count = rows[batch.first + batch.count] - first;
  const auto part = [&](const char* name) {
    return statistic_->read_part(name, first * kept_, count * kept_).reshape({count, kept_});
  };
  return {part("scores").to(device), part("classes").to(device, at::kLong)};
}

ImitationLoss::Value ImitationLoss::operator()(const at::Tensor& merged,
                                               const ExpertScores& expert) const {
  const c10::NoGradGuard no_gradients;
  const at::Tensor& classes = expert.classes;
  const at::Tensor scores = classes.defined() ? merged.gather(1, classes) : merged.detach();
  if (scores.sizes() != expert.scores.sizes())
    data_error("the merged model has scores of shape {} where an expert's have {}",
               shape_text(scores.sizes()), shape_text(expert.scores.sizes()));
  const auto rows = static_cast<double>(scores.size(0));
  const at::Tensor log_q = (scores / temperature).log_softmax(1);
  const at::Tensor q = log_q.exp();
  at::Tensor gradient = at::zeros_like(scores);
  double loss = 0;
  if (kl > 0) {
    const at::Tensor log_p = (expert.scores / temperature).log_softmax(1);
    const at::Tensor p = log_p.exp();
    loss += kl * temperature * temperature * (p * (log_p - log_q)).sum().item<double>();
    gradient.add_(q - p, kl * temperature);
  }
  if (mse > 0) {
    const at::Tensor difference = scores - expert.scores;
    const auto kept = static_cast<double>(scores.size(1));
    loss += mse * difference.square().sum().item<double>() / kept;
    gradient.add_(difference, 2 * mse / kept);
  }
  if (entropy > 0) {
    const at::Tensor of_rows = -(q * log_q).sum(1, true);
    loss += entropy * temperature * temperature * of_rows.sum().item<double>();
    gradient.sub_(q * (log_q + of_rows), entropy * temperature);
  }
  gradient.div_(rows);
  if (classes.defined()) gradient = at::zeros_like(merged).scatter_(1, classes, gradient);
  return {loss / rows, gradient};
}

}  // namespace assay
