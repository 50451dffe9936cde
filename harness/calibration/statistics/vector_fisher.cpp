// The Fisher information of vectors, such as biases, norms and the scales of (IA)³, with all its
// correlations: the mean over examples of g gᵀ, where g is the gradient of the log-probability of
// the example's answer with respect to the whole vector.
#include <ATen/ATen.h>

#include <map>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/internal/gram_sums.h"
#include "harness/calibration/internal/precision.h"
#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"

namespace assay {
namespace {

struct VectorFisher {
  enum class Estimator { kEmpirical, kSampled };

  static constexpr StatisticInfo info{
      .name = "vector_fisher",
      .paper = "arXiv:2312.04339 §3",
      .summary = "Fisher information of every vector, with its correlations",
      .gradients = true};

  Estimator estimator = Estimator::kEmpirical;
  int64_t largest = 4096;
  Precision compute = Precision::kFloat32;

  void parameters(auto&& p) {
    p(estimator,
      {.name = "estimator",
       .choices = {"empirical", "sampled"},
       .help = "whose log-probability is differentiated: that of the true answer, or of one that "
               "is drawn from the model"});
    p(largest,
      {.name = "largest", .range = {1, 1 << 20}, .help = "vectors with more values are left out"});
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network and of products; sums are float64, the values stored "
                        "float32"});
  }

  bool labels() const { return estimator == Estimator::kEmpirical; }
  at::ScalarType dtype() const { return dtype_of(compute); }

  GramSums::Pieces observe(const StatisticBatch& batch) const {
    StateDict vectors;
    for (const auto& [name, unused] : sizes_of(batch.network))
      if (const auto found = batch.weights.find(name); found != batch.weights.end())
        vectors.insert(*found);
    const GradientWeights weights(batch.network.architecture, vectors);
    const at::Tensor log_p =
        class_logits(batch.network.architecture, batch.weights, batch.inputs).log_softmax(1);
    const Answer answer = estimator == Estimator::kSampled ? Answer::kSampled : Answer::kTrue;
    const std::vector<at::Tensor> gradients = weights.gradients(
        answer_log_probability(log_p, answer, batch.targets, batch.seed, batch.first));
    GramSums::Pieces result;
    for (size_t i = 0; i < gradients.size(); ++i)
      result[weights.names()[i]].push_back(
          (gradients[i].defined() ? gradients[i] : at::zeros_like(weights.weights()[i]))
              .detach()
              .unsqueeze(0));
    return result;
  }

  void add(const GramSums::Pieces& gradients) { sums_.add(gradients); }

  StatisticTensors finish(const NetworkShape&, int64_t /*examples*/) {
    return {.tensors = sums_.take_means(at::kFloat).tensors};
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return GramSums::working_bytes(sizes_of(network), dtype());
  }

 private:
  std::map<std::string, int64_t> sizes_of(const NetworkShape& network) const {
    std::map<std::string, int64_t> sizes;
    for (const TensorInfo& tensor : network.architecture.tensors())
      if (tensor.shape.size() == 1 && tensor.numel() > 0 && tensor.numel() <= largest)
        sizes.emplace(tensor.name, tensor.numel());
    return sizes;
  }

  GramSums sums_;
};

ASSAY_STATISTIC(VectorFisher)

}  // namespace
}  // namespace assay
