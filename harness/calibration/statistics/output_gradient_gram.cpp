// Gram matrices of the gradients with respect to the outputs of linear and convolution layers: the
// mean of g gᵀ over all vectors g, one per token or per position of a convolution. With input_gram
// they are the two factors of K-FAC. What is differentiated is the log-probability of an example's
// answer, the sum over its tokens. Padding is left out.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/internal/gram_sums.h"
#include "harness/calibration/internal/precision.h"
#include "harness/calibration/statistic.h"
#include "harness/core/cost.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

class OutputObserver final : public LayerObserver {
 public:
  explicit OutputObserver(const std::map<std::string, int64_t>& sizes) : sizes_(sizes) {}
  void layer(const LayerInput&) override {}
  void output(const LayerInput& input, const at::Tensor& y) override {
    if (!sizes_.contains(input.weight)) return;
    outputs.push_back(y);
    made_by.push_back({input.weight, input.kind, CountedTokens::current()});
  }

  struct Layer {
    std::string weight;
    LayerKind kind;
    at::Tensor mask;
  };
  std::vector<at::Tensor> outputs;
  std::vector<Layer> made_by;  ///< of each output

 private:
  const std::map<std::string, int64_t>& sizes_;
};

struct OutputGradientGram {
  enum class Estimator { kEmpirical, kSampled };

  static constexpr StatisticInfo info{
      .name = "output_gradient_gram",
      .paper = "arXiv:2312.04339 §3",
      .summary = "mean outer product of the gradient of every layer's output with itself",
      .gradients = true,
      .by_layer = true};

  Estimator estimator = Estimator::kEmpirical;
  int64_t largest = 16384;
  Precision compute = Precision::kFloat32;
  Precision storage = Precision::kFloat32;

  void parameters(auto&& p) {
    p(estimator,
      {.name = "estimator",
       .choices = {"empirical", "sampled"},
       .help = "whose log-probability is differentiated: that of the true answer, or of one that "
               "is drawn from the model"});
    p(largest, {.name = "largest",
                .range = {1, 1 << 20},
                .help = "layers with more outputs, such as heads over a vocabulary, are left out"});
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network and of products; sums are float64"});
    p(storage, {.name = "storage", .choices = {"float32", "float64"}, .help = "of the matrices"});
  }

  bool labels() const { return estimator == Estimator::kEmpirical; }
  at::ScalarType dtype() const { return dtype_of(compute); }

  /// The gradients of an example, by the layers' weights: [rows, outputs].
  GramSums::Pieces observe(const StatisticBatch& batch) const {
    const std::map<std::string, int64_t> sizes = sizes_of(batch.network);
    OutputObserver observer(sizes);
    const at::Tensor log_p =
        class_logits(batch.network.architecture, batch.weights, batch.inputs).log_softmax(1);
    const Answer answer = estimator == Estimator::kSampled ? Answer::kSampled : Answer::kTrue;
    const at::Tensor score =
        answer_log_probability(log_p, answer, batch.targets, batch.seed, batch.first);
    counters::gradient_steps += 1;
    const std::vector<at::Tensor> found =
        torch::autograd::grad({score}, observer.outputs, /*grad_outputs=*/{},
                              /*retain_graph=*/false, /*create_graph=*/false,
                              /*allow_unused=*/true);
    GramSums::Pieces gradients;
    for (size_t i = 0; i < found.size(); ++i) {
      const OutputObserver::Layer& layer = observer.made_by[i];
      const at::Tensor& y = observer.outputs[i];
      gradients[layer.weight].push_back(
          output_rows(found[i].defined() ? found[i] : at::zeros_like(y), layer.kind, layer.mask));
    }
    return gradients;
  }

  void add(const GramSums::Pieces& gradients) { sums_.add(gradients); }

  StatisticTensors finish(const NetworkShape&, int64_t /*examples*/) {
    return sums_.take_means(dtype_of(storage));
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return GramSums::working_bytes(sizes_of(network), dtype());
  }

  // Outputs and their gradients.
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t values = 0;
    for (const auto& [unused, size] : sizes_of(network)) values += 2 * size;
    return tokens * values * static_cast<int64_t>(c10::elementSize(dtype()));
  }

 private:
  /// The outputs of the layers that are looked at.
  std::map<std::string, int64_t> sizes_of(const NetworkShape& network) const {
    std::map<std::string, const TensorInfo*> weights;
    const std::vector<TensorInfo> tensors = network.architecture.tensors();
    for (const TensorInfo& tensor : tensors) weights.emplace(tensor.name, &tensor);
    std::map<std::string, int64_t> sizes;
    for (const LayerInfo& layer : network.layers) {
      const int64_t outputs = weights.at(layer.weight)->shape[layer.in_out ? 1 : 0];
      if (outputs <= largest) sizes.emplace(layer.weight, outputs);
    }
    return sizes;
  }

  GramSums sums_;
};

ASSAY_STATISTIC(OutputGradientGram)

}  // namespace
}  // namespace assay
