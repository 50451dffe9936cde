#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/kernels/one_thread.h"
#include "methods/dense/sums.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// LM-Cocktail: a weighted mean in which experts count more that have a low loss on a few labelled
/// examples of all tasks: softmax(-loss / temperature). Nothing is trained.
struct LmCocktail {
  static constexpr MethodInfo info{
      .name = "lm_cocktail",
      .paper = "arXiv:2311.13534 §3",
      .summary = "mean of the experts weighed by their losses on a few examples",
      .needs = {.calibration_inputs = true, .calibration_labels = true},
      .elementwise = true,
      .own_moments = true,
      .flops = "N d, and the examples through each model"};
  double temperature = 5;
  int64_t examples = 50, batch = 16;

  void parameters(auto&& p) {
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.1, 0.5, 1, 5},
                    .help = "of the softmax over the experts' losses: the lower, the more they "
                            "differ; 5 in the authors' examples"});
    p(examples, {.name = "examples",
                 .range = {1, 100000},
                 .help = "of each task's calibration examples, or all that there are"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a pass"});
  }

  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& job) const { return sum_of_experts(job, weights_); }

 private:
  double loss_of(const ModelJob& job, size_t expert) const;

  std::vector<double> weights_;
};

/// The expert's mean loss, in which all tasks count alike.
double LmCocktail::loss_of(const ModelJob& job, size_t expert) const {
  const Network& network = job.evidence().network();
  StateDict weights;
  for (const std::string& name : job.names()) weights[name] = job.tensor(name).experts[expert];
  double mean = 0;
  for (size_t task = 0; task < job.num_experts(); ++task) {
    const int64_t used = std::min(examples, network.examples(task));
    double sum = 0;
    int64_t rows = 0;
    for (int64_t first = 0; first < used; first += batch) {
      const ExampleBatch few{first, std::min(batch, used - first)};
      const int64_t count = network.targets(task, few.first, few.count).numel();
      sum += cross_entropy(network, weights, task, few).item<double>() * static_cast<double>(count);
      rows += count;
    }
    mean += sum / static_cast<double>(rows) / static_cast<double>(job.num_experts());
  }
  return mean;
}

void LmCocktail::prepare(const ModelJob& job) {
  const c10::NoGradGuard no_gradients;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  std::vector<double> losses;
  for (size_t i = 0; i < job.num_experts(); ++i) losses.push_back(loss_of(job, i));
  const at::Tensor shares = (at::tensor(losses, at::kDouble) / -temperature).softmax(0);
  weights_.assign(shares.const_data_ptr<double>(), shares.const_data_ptr<double>() + losses.size());
}

ASSAY_METHOD(LmCocktail)

}  // namespace
}  // namespace assay
