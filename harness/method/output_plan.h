/// What a merge gives where that is not the tensors of its reference: fewer or more layers, tensors
/// under other names, cut to rows, or merged with others of the same model. Planned from headers
/// and config.json alone, before a tensor is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

class Evidence;

/// The models of a merge.
struct PlanInputs {
  const TensorSource* base;  ///< may be null
  std::vector<const TensorSource*> experts;
  const Json& config;  ///< config.json of the reference: the base, else the first expert
  /// Of experts whose tensors differ (Needs::same_shapes), config.json of each; else empty.
  std::vector<Json> expert_configs{};
  /// For methods that need the architecture or data; null: there is none.
  const Evidence* evidence = nullptr;
};

/// A tensor of one model, or some of its rows, or one with zeros as further columns.
struct TensorView {
  static constexpr size_t kBase = std::numeric_limits<size_t>::max();

  size_t model = 0;     ///< index among the experts, or kBase
  std::string tensor;   ///< its name in that model
  int64_t first = 0;    ///< the first row that is taken, an index of the first dimension
  int64_t rows = kAll;  ///< how many are taken
  /// The last dimension of a matrix, where zeros follow its own columns; 0: it has its own alone.
  int64_t columns = 0;
  static constexpr int64_t kAll = -1;  ///< all that follow
};

/// A tensor of the result.
struct OutputTensor {
  std::string name;
  /// What a method gets as its experts, in its order: at least one, all of one shape. A model may
  /// occur any number of times.
  std::vector<TensorView> experts;
  std::optional<TensorView> base{};  ///< what it gets as its base; of the same shape
  /// The result's shape where it is another than the views'. Only for methods that are given whole
  /// tensors or models. What is copied with another shape is zero, in the dtype of the merge.
  std::optional<std::vector<int64_t>> shape{};
  /// Only for methods that are given whole models: merge_model() decides whether the result has it,
  /// and how many rows; those of the plan are the most. OutputPlan::config_of then makes the
  /// config.
  bool open = false;
  /// The result is the base's view, else the first expert's, whatever its dtype. Integers and
  /// buffers always are.
  bool copied = false;
  /// The method gives it values that are none of the views', which have its shape and dtype.
  bool made = false;

  bool is_zero() const { return copied && shape; }
};

struct OutputPlan {
  Json config;  ///< config.json of the result, which names its architecture
  std::vector<OutputTensor> tensors;
  /// config.json of what merge_model() made, its open tensors settled; `config` is that of the
  /// whole plan. A plan that has it is merged as one section, in one call of the method.
  std::function<Json(const StateDict& made)> config_of{};
};

/// The plan of a merge that keeps the shape of its models, as a start for others: every tensor of
/// the reference, made of the tensors of that name of all models.
OutputPlan same_tensors(const PlanInputs& models);

}  // namespace assay
