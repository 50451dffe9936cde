#include "harness/calibration/internal/gradients.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <set>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/kernels/parallel.h"

namespace assay {
namespace {

// A class drawn from each row of probabilities: one number per row decides.
at::Tensor draw(const at::Tensor& probabilities, Rng rng) {
  const at::Tensor sums = probabilities.cumsum(1).cpu();
  at::Tensor drawn = at::empty({sums.size(0)}, at::kLong);
  for (int64_t row = 0; row < sums.size(0); ++row) {
    const double* of_row = sums.const_data_ptr<double>() + row * sums.size(1);
    const double number = rng.uniform() * of_row[sums.size(1) - 1];
    drawn.data_ptr<int64_t>()[row] = std::min(
        std::upper_bound(of_row, of_row + sums.size(1), number) - of_row, sums.size(1) - 1);
  }
  return drawn.to(probabilities.device());
}

}  // namespace

GradientWeights::GradientWeights(const Architecture& architecture, const StateDict& weights) {
  std::set<std::string> copies;
  const CheckpointNames names = architecture.checkpoint_names();
  for (const auto* pairs : {&names.tied, &names.substituted})
    for (const auto& [name, original] : *pairs) {
      const auto copy = weights.find(name), found = weights.find(original);
      if (copy != weights.end() && found != weights.end() && copy->second.is_same(found->second))
        copies.insert(name);
    }
  for (const auto& [name, weight] : weights)
    if (weight.requires_grad() && !copies.contains(name)) {
      names_.push_back(name);
      weights_.push_back(weight);
    }
}

std::vector<at::Tensor> GradientWeights::gradients(const at::Tensor& output,
                                                   bool keep_graph) const {
  counters::gradient_steps += 1;
  return torch::autograd::grad({output}, weights_, /*grad_outputs=*/{}, keep_graph,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

at::Tensor of_classes(const at::Tensor& log_p, const at::Tensor& classes) {
  if (const auto highest = classes.max().item<int64_t>(); highest >= log_p.size(1))
    user_error("an example has the class {}, but the model has {} classes", highest, log_p.size(1));
  return log_p.gather(1, classes.unsqueeze(1)).squeeze(1);
}

at::Tensor answer_log_probability(const at::Tensor& log_p, Answer answer, const at::Tensor& targets,
                                  uint64_t seed, int64_t example) {
  at::Tensor classes = targets;
  if (answer == Answer::kArgmax) classes = log_p.argmax(1);
  if (answer == Answer::kSampled)
    classes = draw(log_p.detach().to(at::kDouble).exp(),
                   Rng(seed, fmt::format("Fisher answer of example {}", example)));
  return of_classes(log_p, classes).sum();
}

void NamedSums::add(const StateDict& values) {
  std::vector<std::pair<at::Tensor, at::Tensor>> work;
  for (const auto& [name, value] : values) {
    at::Tensor& sum = sums_[name];
    if (!sum.defined()) sum = at::zeros_like(value, value.options().dtype(at::kDouble));
    work.emplace_back(sum, value);
  }
  concurrently(static_cast<int64_t>(work.size()), [&](int64_t i) {
    auto& [sum, value] = work[static_cast<size_t>(i)];
    sum.add_(value);
  });
}

StateDict NamedSums::means(int64_t count, at::ScalarType dtype) {
  StateDict means;
  for (auto& [name, sum] : sums_) means[name] = sum.div_(static_cast<double>(count)).to(dtype);
  sums_.clear();
  return means;
}

}  // namespace assay
