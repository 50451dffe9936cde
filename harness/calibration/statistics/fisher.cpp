// The diagonal of the Fisher information, one value per weight: the mean over examples of squared
// gradients of a log-probability. What is differentiated differs between implementations that are
// all called Fisher, and so do the values, by orders of magnitude. Every example has a gradient of
// its own. For a model that generates text, the log-probability is that of the whole answer; tokens
// that are drawn, or the most probable, follow the true ones before them.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/internal/precision.h"
#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/model/forward.h"

namespace assay {
namespace {

/// `exact` takes a backward pass per class.
constexpr int64_t kMostClasses = 1000;

struct Fisher {
  enum class Estimator { kExact, kEmpirical, kSampled, kArgmax, kMergelm };

  static constexpr StatisticInfo info{
      .name = "fisher",
      .paper = "arXiv:2111.09832 §3",
      .summary = "diagonal Fisher information: mean squared gradient per weight",
      .gradients = true};

  Estimator estimator = Estimator::kEmpirical;
  Precision compute = Precision::kFloat32;

  void parameters(auto&& p) {
    p(estimator,
      {.name = "estimator",
       .choices = {"exact", "empirical", "sampled", "argmax", "mergelm"},
       .help = "whose log-probability is differentiated: exact: every class, weighted by its "
               "probability; empirical: the true answer; sampled: an answer drawn from the model; "
               "argmax: the model's most probable one; mergelm: the gradient of the sum of sqrt(p) "
               "log p, for comparison with MergeLM and FusionBench alone"});
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network; sums are float64, the values stored float32"});
  }

  bool labels() const { return estimator == Estimator::kEmpirical; }
  at::ScalarType dtype() const { return dtype_of(compute); }

  StateDict observe(const StatisticBatch& batch) const {
    const GradientWeights weights(batch.network.architecture, batch.weights);
    const at::Tensor log_p =
        class_logits(batch.network.architecture, batch.weights, batch.inputs).log_softmax(1);
    StateDict squares;
    if (estimator == Estimator::kExact) {
      const at::Tensor probabilities = checked_rows(log_p).detach().exp().to(at::kDouble).cpu();
      for (int64_t label = 0; label < log_p.size(1); ++label)
        add_square(weights, log_p.select(1, label).sum(), label + 1 < log_p.size(1),
                   probabilities.const_data_ptr<double>()[label], squares);
    } else {
      add_square(weights, objective(batch, log_p), false, 1, squares);
    }
    return squares;
  }

  void add(const StateDict& squares) { sums_.add(squares); }

  StatisticTensors finish(const NetworkShape&, int64_t examples) {
    return {sums_.means(examples, at::kFloat)};
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return values_of(network) * static_cast<int64_t>(sizeof(double));
  }

  // An example's squares, and the gradients that they are made of. A thread works on each.
  int64_t part_bytes(const NetworkShape& network, int64_t /*tokens*/) const {
    return values_of(network) * static_cast<int64_t>(sizeof(double) + c10::elementSize(dtype()));
  }

 private:
  static int64_t values_of(const NetworkShape& network) {
    int64_t values = 0;
    for (const TensorInfo& tensor : network.architecture.tensors()) values += tensor.numel();
    return values;
  }

  static const at::Tensor& checked_rows(const at::Tensor& log_p) {
    if (log_p.size(0) != 1 || log_p.size(1) > kMostClasses)
      user_error(
          "the estimator 'exact' of the statistic 'fisher' takes a backward pass per class and is "
          "for classifiers of at most {} classes; a model with {} scores of {} classes per "
          "example needs 'sampled', which has the same expectation, or 'empirical'",
          kMostClasses, log_p.size(0), log_p.size(1));
    return log_p;
  }

  // The scalar to differentiate.
  at::Tensor objective(const StatisticBatch& batch, const at::Tensor& log_p) const {
    if (estimator == Estimator::kMergelm) return ((log_p.detach() / 2).exp() * log_p).sum();
    const Answer answer = estimator == Estimator::kArgmax    ? Answer::kArgmax
                          : estimator == Estimator::kSampled ? Answer::kSampled
                                                             : Answer::kTrue;
    return answer_log_probability(log_p, answer, batch.targets, batch.seed, batch.first);
  }

  static void add_square(const GradientWeights& weights, const at::Tensor& output, bool keep_graph,
                         double factor, StateDict& squares) {
    const std::vector<at::Tensor> gradients = weights.gradients(output, keep_graph);
    const c10::NoGradGuard no_gradients;
    for (size_t i = 0; i < gradients.size(); ++i) {
      at::Tensor& sum = squares[weights.names()[i]];
      if (!sum.defined())
        sum =
            at::zeros_like(weights.weights()[i], weights.weights()[i].options().dtype(at::kDouble));
      if (!gradients[i].defined()) continue;
      const at::Tensor gradient = gradients[i].to(at::kDouble);
      sum.addcmul_(gradient, gradient, factor);
    }
  }

  NamedSums sums_;
};

ASSAY_STATISTIC(Fisher)

}  // namespace
}  // namespace assay
