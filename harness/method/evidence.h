/// What a method may look at besides weights: statistics of the experts' data, the layers of the
/// network, and the network itself. Implemented by harness/calibration; engines hand it through.
/// Tensors have the names that they have in the merge (ModelJob::names()).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"
#include "harness/method/permutation.h"

namespace assay {

/// A statistic of an expert on its own data, with its parameters (docs/statistics.md).
struct StatisticRef {
  std::string name;
  Json parameters = Json::object();  ///< those that are not its defaults
};

enum class LayerKind { kLinear, kConvolution };

/// A layer that multiplies its input by a weight.
struct LayerInfo {
  std::string weight;
  std::string bias{};  ///< empty: none
  LayerKind kind = LayerKind::kLinear;
  bool in_out = false;  ///< the weight of a linear layer is stored [in, out], as in GPT-2
  /// Features of one input: of a convolution, channels times the kernel's height and width.
  int64_t inputs = 0;
  std::optional<int64_t> block{};  ///< index of its transformer block; absent outside of blocks
  int64_t depth = 0;               ///< its place among the layers in the order in which they run
  /// The weight of the first layer that reads the same input, which may be this one: query, key and
  /// value share one Gram matrix.
  std::string input{};
  /// Vectors that it reads of the smallest example: positions of a convolution's output, tokens.
  int64_t positions = 1;
};

/// The network of the merged model with any weights, on the calibration examples of the experts.
/// Each expert's examples are those of its own held-in tasks, in a fixed random order.
class Network {
 public:
  virtual ~Network() = default;
  /// How many examples an expert has.
  virtual int64_t examples(size_t expert) const = 0;
  /// Scores float32 [rows, classes] of the expert's examples [first, first + count), on the
  /// weights' device: a row per example for classifiers; for language models a row per token of the
  /// answer (of the text where there is no answer). Gradients reach the `weights` that require
  /// them. Tensors that `weights` lacks are those of the reference.
  virtual at::Tensor logits(const StateDict& weights, size_t expert, int64_t first,
                            int64_t count) const = 0;
  /// The true classes int64 [rows] of these rows. Only for methods that need calibration_labels.
  virtual at::Tensor targets(size_t expert, int64_t first, int64_t count) const = 0;
  /// The example, counted from `first`, of each of these rows: int64 [rows].
  virtual at::Tensor row_examples(size_t expert, int64_t first, int64_t count) const = 0;
  /// logits() but for rounding. Examples of similar length go through the network together, so that
  /// little of what is computed is padding.
  virtual at::Tensor logits_by_length(const StateDict& weights, size_t expert, int64_t first,
                                      int64_t count) const {
    return logits(weights, expert, first, count);
  }
};

/// Handed to methods whose needs ask for calibration data or the architecture.
class Evidence {
 public:
  virtual ~Evidence() = default;
  /// Whether there are statistics or data; else there are layers and blocks only.
  virtual bool has_data() const { return true; }
  /// A statistic that the method lists in statistics(). Its tensors are documented with it.
  virtual std::shared_ptr<const TensorSource> statistic(const StatisticRef& statistic,
                                                        size_t expert) const = 0;
  /// Only for methods that need gradients, or that list no statistics.
  virtual const Network& network() const = 0;
  /// The layer with this weight; null when there is none, as for norms and embeddings.
  virtual const LayerInfo* layer(const std::string& weight) const = 0;
  /// The index of the transformer block that the tensor belongs to, from the architecture.
  virtual std::optional<int64_t> block(const std::string& tensor) const = 0;
  /// The units that can be reordered, from the architecture (permutation.h).
  virtual std::vector<PermutationGroup> permutations() const { return {}; }
  /// config.json of a model of this architecture whose tensors have these shapes, by their names in
  /// the merge; null where the architecture has no such models.
  virtual Json config_of_shapes(
      const std::map<std::string, std::vector<int64_t>>& /*shapes*/) const {
    return nullptr;
  }
  /// The network of such a config.json on the same data. Every weight is to be given, under its
  /// name in the merge. UserError as network().
  virtual std::unique_ptr<const Network> network_of(const Json& config) const;
};

}  // namespace assay
