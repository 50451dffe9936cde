/// Results made of slices: layers of one or several models, one slice after the other, as in
/// mergekit's `slices`. Embeddings are those of the first slice, norm and head those of the last.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"

namespace assay {

/// Layers [first, last) of a model.
struct LayerRange {
  size_t model = 0;  ///< as in TensorView
  int64_t first = 0, last = 0;
  std::string where;  ///< for messages
};

/// Layers of the result, each made of one layer of every range: the first of the first ones, ...
struct Slice {
  std::optional<LayerRange> base;   ///< what the method gets as its base
  std::vector<LayerRange> experts;  ///< at least one
};

struct SlicedPlan {
  /// What the parameters of an output tensor may depend on.
  struct Place {
    size_t slice;
    double depth;  ///< in the slice: 0 at its first layer and outside of layers, 1 at its last
  };
  OutputPlan plan;
  std::vector<Place> places;  ///< of the plan's tensors
};

/// The models' configs, by their places in MergeInputs.
struct SliceConfigs {
  Json base;
  std::vector<Json> experts;
};
SliceConfigs slice_configs(const std::shared_ptr<const Checkpoint>& base,
                           const std::vector<std::shared_ptr<const Checkpoint>>& experts);

/// `inputs` gives the models, and the config that the result's is like but for the number of layers
/// and what it says of each. UserError, beginning with the range's `where`, on ranges that are
/// empty, reversed, beyond the model or of other lengths than the slice's first one; DataError as
/// LayerStack, and when layers that are merged do not have the same tensors.
SlicedPlan plan_slices(const std::vector<Slice>& slices, const MergeInputs& inputs,
                       const SliceConfigs& configs);

/// The names of a plan's tensors that methods make; the others are copied.
std::set<std::string> merged_by(const OutputPlan& plan, const MergeInputs& inputs);

}  // namespace assay
