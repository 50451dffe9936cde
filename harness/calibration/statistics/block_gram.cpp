// The blocks on the diagonals of the Gram matrices of layers' inputs (input_gram): what is left of
// them where inputs count as correlated with their neighbours alone. Blocks of one value are the
// mean squares. They take n b values for n inputs and blocks of b. Padding is left out.
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

/// The sums of one input's blocks, float64 [blocks, block, block].
struct BlockSum {
  at::Tensor sum;
  int64_t rows = 0;

  void add(const BlockSum& other) {
    sum = sum.defined() ? sum.add_(other.sum) : other.sum;
    rows += other.rows;
  }
};
using BlockSums = std::map<std::string, BlockSum>;  ///< by LayerInfo::input

int64_t blocks_of(int64_t inputs, int64_t block) { return (inputs + block - 1) / block; }

class BlockObserver final : public LayerObserver {
 public:
  BlockObserver(const std::vector<LayerInfo>& layers, int64_t block) : block_(block) {
    for (const LayerInfo& layer : layers) first_readers_.insert(layer.input);
  }
  void layer(const LayerInput& input) override {
    if (!first_readers_.contains(input.weight)) return;
    const at::Tensor x = counted_rows(input).to(at::kDouble);
    const int64_t blocks = blocks_of(x.size(1), block_);
    // The last block is filled up with zeros.
    const at::Tensor padded = at::constant_pad_nd(x, {0, blocks * block_ - x.size(1)});
    const at::Tensor pieces = padded.view({-1, blocks, block_}).transpose(0, 1);
    sums[input.weight].add({at::bmm(pieces.transpose(1, 2), pieces), x.size(0)});
  }

  BlockSums sums;

 private:
  std::set<std::string> first_readers_;
  int64_t block_;
};

struct BlockGram {
  static constexpr StatisticInfo info{
      .name = "block_gram",
      .paper = "arXiv:2212.09849 §3",
      .summary = "blocks on the diagonals of the Gram matrices of every layer's input",
      .by_layer = true};

  int64_t block = 128;
  Precision compute = Precision::kFloat32;

  void parameters(auto&& p) {
    p(block, {.name = "block",
              .range = {1, 1 << 16},
              .help = "inputs of a block; 1 gives the mean square of each"});
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network; sums and the stored values are float64"});
  }

  at::ScalarType dtype() const { return dtype_of(compute); }

  BlockSums observe(const StatisticBatch& batch) const {
    BlockObserver observer(batch.network.layers, block);
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return std::move(observer.sums);
  }

  void add(const BlockSums& sums) {
    for (const auto& [layer, sum] : sums) sums_[layer].add(sum);
  }

  StatisticTensors finish(const NetworkShape& network, int64_t /*examples*/) {
    StatisticTensors result;
    for (auto& [layer, sum] : std::exchange(sums_, {})) {
      if (sum.rows == 0) continue;  // an expert of a mixture that no token was sent to
      result.rows[layer] = sum.rows;
      result.tensors[layer] = sum.sum / static_cast<double>(sum.rows);
    }
    for (const LayerInfo& layer : network.layers)
      if (result.tensors.contains(layer.input)) result.layers.push_back(layer);
    return result;
  }

  int64_t working_bytes(const NetworkShape& network) const {
    return values_of(network) * static_cast<int64_t>(sizeof(double));
  }

  // The sums of a batch, and two copies of the widest input.
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t widest = 0;
    for (const LayerInfo& layer : network.layers) widest = std::max(widest, layer.inputs);
    return (values_of(network) + 2 * tokens * widest) * static_cast<int64_t>(sizeof(double));
  }

 private:
  int64_t values_of(const NetworkShape& network) const {
    std::map<std::string, int64_t> sizes;
    for (const LayerInfo& layer : network.layers) sizes[layer.input] = layer.inputs;
    int64_t values = 0;
    for (const auto& [unused, size] : sizes) values += blocks_of(size, block) * block * block;
    return values;
  }

  BlockSums sums_;
};

ASSAY_STATISTIC(BlockGram)

}  // namespace
}  // namespace assay
