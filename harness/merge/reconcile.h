/// Models that differ in what can be settled without reading a tensor: vocabularies of different
/// sizes, and heads that are tied to the embedding in one model and stored in another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"
#include "harness/merge/adjusted_source.h"

namespace assay {

/// What becomes of embeddings and heads whose numbers of rows differ, and are the vocabulary sizes
/// that the models' configs give.
enum class VocabPolicy {
  kError,
  kTruncateToBase,   ///< rows beyond those of the base (else of the first expert) are cut off
  kCommonSubmatrix,  ///< rows that not all models have are cut off
  kMeanFill          ///< models with fewer rows get the mean of their rows for those they lack
};
/// UserError listing the names.
VocabPolicy vocab_policy_from_name(const std::string& name, const std::string& where);
std::string vocab_policy_name(VocabPolicy policy);

/// A model as it comes to a merge.
struct MergeModel {
  std::shared_ptr<const TensorSource> source;
  Json config;  ///< config.json; null where there is none
};

struct Reconciled {
  /// In the order of the models given; those that need no change are the same.
  std::vector<std::shared_ptr<const TensorSource>> sources;
  std::optional<int64_t> vocab_size;  ///< of the result, where the policy changed it
  std::vector<std::string> notes;     ///< what was done
  std::vector<std::string> problems;  ///< what the policy cannot or may not do
};

/// The first model is the one that says what tensors there are: the base, or the first expert
/// without one.
///
/// Tied tensors appear once: where the first model's config ties its head to the embedding
/// ("tie_word_embeddings"), stored copies of it are left out of every model. Where the first model
/// has a head of its own, a model that lacks one because it is tied gives its embedding in its
/// place.
Reconciled reconcile(const std::vector<MergeModel>& models, VocabPolicy policy);

}  // namespace assay
