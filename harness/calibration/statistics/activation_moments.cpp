// Moments of every feature that linear and convolution layers read: over all vectors x that a
// layer's weight multiplies, the mean of x, of x² (the diagonal of input_gram) and of |x|, and the
// largest |x|. A row each. Padding is left out.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "harness/calibration/internal/precision.h"
#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

/// Sums over vectors, float64: rows as those of the statistic.
struct Moments {
  at::Tensor sums, largest;
  int64_t rows = 0;

  void add(const Moments& other) {
    sums = sums.defined() ? sums.add_(other.sums) : other.sums;
    largest = largest.defined() ? at::maximum(largest, other.largest) : other.largest;
    rows += other.rows;
  }
};
using AllMoments = std::map<std::string, Moments>;  ///< by LayerInfo::input

class MomentObserver final : public LayerObserver {
 public:
  explicit MomentObserver(const std::vector<LayerInfo>& layers) {
    for (const LayerInfo& layer : layers) first_readers_.insert(layer.input);
  }
  void layer(const LayerInput& input) override {
    if (!first_readers_.contains(input.weight)) return;
    const at::Tensor x = counted_rows(input).to(at::kDouble);
    if (x.size(0) == 0) return;
    const at::Tensor magnitudes = x.abs();
    moments[input.weight].add({at::stack({x.sum(0), x.square().sum(0), magnitudes.sum(0)}),
                               magnitudes.amax(0), x.size(0)});
  }

  AllMoments moments;

 private:
  std::set<std::string> first_readers_;
};

struct ActivationMoments {
  static constexpr StatisticInfo info{
      .name = "activation_moments",
      .paper = "arXiv:2502.02421 §3",
      .summary = "mean, mean square, mean magnitude and largest magnitude of every input feature",
      .by_layer = true};

  Precision compute = Precision::kFloat32;

  void parameters(auto&& p) {
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network; sums and the stored values are float64"});
  }

  at::ScalarType dtype() const { return dtype_of(compute); }

  AllMoments observe(const StatisticBatch& batch) const {
    MomentObserver observer(batch.network.layers);
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return std::move(observer.moments);
  }

  void add(const AllMoments& all) {
    for (const auto& [layer, moments] : all) sums_[layer].add(moments);
  }

  StatisticTensors finish(const NetworkShape& network, int64_t /*examples*/) {
    StatisticTensors result;
    for (auto& [layer, moments] : std::exchange(sums_, {})) {
      const at::Tensor means = moments.sums / static_cast<double>(moments.rows);
      result.tensors[layer] = at::cat({means, moments.largest.unsqueeze(0)});
      result.rows[layer] = moments.rows;
    }
    for (const LayerInfo& layer : network.layers)
      if (result.tensors.contains(layer.input)) result.layers.push_back(layer);
    return result;
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return 4 * inputs_of(network) * static_cast<int64_t>(sizeof(double));
  }

  // An input in float64, its magnitudes and squares: one layer at a time, and then the sums.
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t widest = 0;
    for (const LayerInfo& layer : network.layers) widest = std::max(widest, layer.inputs);
    return (3 * tokens * widest + 4 * inputs_of(network)) * static_cast<int64_t>(sizeof(double));
  }

 private:
  static int64_t inputs_of(const NetworkShape& network) {
    std::map<std::string, int64_t> sizes;
    for (const LayerInfo& layer : network.layers) sizes[layer.input] = layer.inputs;
    int64_t values = 0;
    for (const auto& [unused, size] : sizes) values += size;
    return values;
  }

  AllMoments sums_;
};

ASSAY_STATISTIC(ActivationMoments)

}  // namespace
}  // namespace assay
