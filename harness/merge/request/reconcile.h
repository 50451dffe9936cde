/// Reconciles models that differ in what their headers show: vocabularies of different sizes,
/// heads that are tied to the embedding in one model and stored in another, names with and without
/// a prefix, buffers and other tensors that not all of them have.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// What happens to embeddings and heads whose numbers of rows differ, where these are the
/// vocabulary sizes in the models' configs.
enum class VocabPolicy {
  kError,
  kTruncateToBase,   ///< rows beyond those of the base (else of the first expert) are cut off
  kCommonSubmatrix,  ///< rows that not all models have are cut off
  kMeanFill          ///< models with fewer rows get the mean of their rows for those they lack
};
/// UserError listing the names.
VocabPolicy vocab_policy_from_name(const std::string& name, const std::string& where);
std::string vocab_policy_name(VocabPolicy policy);

/// What happens to tensors that not all models have, other than buffers.
enum class ExtraTensors {
  kError,
  kCopy,  ///< they are in the result, as in the first model that has them
  kDrop
};
/// UserError listing the names.
ExtraTensors extra_tensors_from_name(const std::string& name, const std::string& where);
std::string extra_tensors_name(ExtraTensors extra);

struct ReconcileOptions {
  VocabPolicy vocabulary = VocabPolicy::kError;
  ExtraTensors extra = ExtraTensors::kError;
  /// The result is made of some tensors of each model: they need not have the same ones.
  bool partial = false;
};

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
/// without one. DataError as refuse_unmergeable().
///
/// Names that differ in one prefix everywhere become those of the first model.
///
/// Tied tensors are stored once: where the first model's config ties its head to the embedding (see
/// ties_embeddings()), stored copies of it are left out of every model. Where the first model has a
/// head of its own, a model that lacks one because it is tied gives its embedding instead. A
/// few values of such copies are read, to note those that differ from the embedding.
///
/// Buffers (see is_buffer()) are those of the first model that has them, in all models.
Reconciled reconcile(const std::vector<MergeModel>& models, const ReconcileOptions& options = {});

}  // namespace assay
