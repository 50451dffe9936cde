/// A layer of a mixture whose experts are in groups, and what becomes of each group.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/method/method.h"
#include "methods/moe/expert_groups.h"
#include "methods/moe/expert_merge.h"
#include "methods/moe/mixture_layers.h"
#include "methods/moe/routing.h"

namespace assay {

/// What the experts of a group become.
enum class GroupMean {
  kUsage,     ///< the mean by usage
  kUniform,   ///< the plain mean
  kDominant,  ///< the one that is used most
  kFisher,    ///< the mean by Fisher information
  kSubspace,  ///< subspace_mean() by usage
  kZip        ///< zip_mean() by usage
};

struct GroupMerge {
  GroupMean mean = GroupMean::kUsage;
  double epsilon = 0;    ///< of kUsage
  double subspace = 1;   ///< of kSubspace: the share of singular values that are kept
  double zip_alpha = 0;  ///< of kZip
  bool refit = false;    ///< whether the output matrix is fitted
  double ridge = 0;      ///< of the fit
  /// Whether experts run on the model's inputs (observe_groups()).
  bool runs() const { return refit || mean == GroupMean::kZip; }
};

struct GroupedLayer {
  MixtureLayer names;
  ExpertMatrices experts;
  ExpertMatrices importance;  ///< of each expert's entries; only for kFisher
  at::Tensor router;          ///< its weight, float64
  Routing routing;            ///< empty where nothing reads it
  ExpertGroups groups;
  std::vector<UnitMoments> moments;  ///< of each group of several, by observe_groups() for kZip
  std::vector<OutputFit> fits;       ///< likewise for a fit

  /// Of these experts; usages are all 1 where they are not known.
  std::vector<Matrices> members(const std::vector<int64_t>& group) const;
  std::vector<double> usage(const std::vector<int64_t>& group) const;
};

/// Reorders the hidden units of an expert like those of another one, by weights.
void match_units(GroupedLayer& layer, int64_t target, int64_t expert);

/// Runs the experts of groups of several on what the model's layers read on its calibration
/// examples, `batch` at a time. `weights`: of the whole model.
void observe_groups(const ModelJob& job, const StateDict& weights, int64_t batch,
                    const GroupMerge& merge, std::vector<GroupedLayer>& layers);

/// The expert that each group becomes; of a group of one, that one.
std::vector<Matrices> merged_groups(const GroupedLayer& layer, const GroupMerge& merge);

}  // namespace assay
