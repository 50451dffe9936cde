// How much a tensor's values matter to the loss: the mean over examples of a norm of w dL/dw over
// its weights w, where L is the mean negative log-probability of the true answer's tokens. One
// number per tensor.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"

namespace assay {
namespace {

struct LayerSensitivity {
  static constexpr StatisticInfo info{
      .name = "layer_sensitivity",
      .paper = "arXiv:2502.12420 §3.2",
      .summary = "norm of weight x gradient of the loss of every tensor",
      .gradients = true};

  enum class Norm { kL1, kL2 };
  Norm norm = Norm::kL1;

  void parameters(auto&& p) {
    p(norm, {.name = "norm",
             .choices = {"l1", "l2"},
             .help = "over a tensor's products of weight and gradient: the sum of their magnitudes "
                     "or the root of the sum of their squares"});
  }

  bool labels() const { return true; }

  StateDict observe(const StatisticBatch& batch) const {
    const GradientWeights weights(batch.network.architecture, batch.weights);
    const at::Tensor log_p =
        class_logits(batch.network.architecture, batch.weights, batch.inputs).log_softmax(1);
    const std::vector<at::Tensor> gradients =
        weights.gradients(-of_classes(log_p, batch.targets).mean());
    const c10::NoGradGuard no_gradients;
    StateDict sums;
    for (size_t i = 0; i < gradients.size(); ++i) {
      at::Tensor& sum = sums[weights.names()[i]];
      if (!gradients[i].defined()) {
        sum = at::zeros({}, weights.weights()[i].options().dtype(at::kDouble));
        continue;
      }
      const at::Tensor products =
          weights.weights()[i].to(at::kDouble) * gradients[i].to(at::kDouble);
      sum = norm == Norm::kL1 ? products.abs().sum() : products.square().sum().sqrt();
    }
    return sums;
  }

  void add(const StateDict& sums) { sums_.add(sums); }

  StatisticTensors finish(const NetworkShape&, int64_t examples) {
    return {sums_.means(examples, at::kDouble)};
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return static_cast<int64_t>(network.architecture.tensors().size() * sizeof(double));
  }

 private:
  NamedSums sums_;
};

ASSAY_STATISTIC(LayerSensitivity)

}  // namespace
}  // namespace assay
