// Gram matrices of the inputs of linear and convolution layers: the mean of x xᵀ over all vectors x
// that a layer's weight multiplies, a vector per token or per position of a convolution. Padding is
// left out. Layers that read the same input, as query, key and value do, share a matrix.
#include <ATen/ATen.h>

#include <map>
#include <set>
#include <utility>

#include "harness/calibration/internal/gram_sums.h"
#include "harness/calibration/internal/precision.h"
#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

class InputObserver final : public LayerObserver {
 public:
  explicit InputObserver(const std::vector<LayerInfo>& layers) {
    for (const LayerInfo& layer : layers) first_readers_.insert(layer.input);
  }
  void layer(const LayerInput& input) override {
    if (first_readers_.contains(input.weight)) inputs[input.weight].push_back(counted_rows(input));
  }

  GramSums::Pieces inputs;  ///< the vectors that went into layers, by LayerInfo::input

 private:
  std::set<std::string> first_readers_;
};

struct InputGram {
  static constexpr StatisticInfo info{
      .name = "input_gram",
      .paper = "arXiv:2212.09849 §3",
      .summary = "mean outer product of every layer's input with itself",
      .by_layer = true};

  Precision compute = Precision::kFloat32;
  Precision storage = Precision::kFloat32;

  void parameters(auto&& p) {
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network and of products; sums are float64"});
    p(storage, {.name = "storage", .choices = {"float32", "float64"}, .help = "of the matrices"});
  }

  at::ScalarType dtype() const { return dtype_of(compute); }

  GramSums::Pieces observe(const StatisticBatch& batch) const {
    InputObserver observer(batch.network.layers);
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return std::move(observer.inputs);
  }

  void add(const GramSums::Pieces& inputs) { sums_.add(inputs); }

  StatisticTensors finish(const NetworkShape& network, int64_t /*examples*/) {
    StatisticTensors result = sums_.take_means(dtype_of(storage));
    for (const LayerInfo& layer : network.layers)
      if (result.tensors.contains(layer.input)) result.layers.push_back(layer);
    return result;
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return GramSums::working_bytes(sizes_of(network), dtype());
  }

  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t values = 0;
    for (const auto& [unused, size] : sizes_of(network)) values += size;
    return tokens * values * static_cast<int64_t>(c10::elementSize(dtype()));
  }

 private:
  static std::map<std::string, int64_t> sizes_of(const NetworkShape& network) {
    std::map<std::string, int64_t> sizes;
    for (const LayerInfo& layer : network.layers) sizes[layer.input] = layer.inputs;
    return sizes;
  }

  GramSums sums_;
};

ASSAY_STATISTIC(InputGram)

}  // namespace
}  // namespace assay
