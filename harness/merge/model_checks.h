/// Checks of models beyond names and shapes: tokenizers, and values that show whether the models
/// belong together.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"

namespace assay {

/// Needs::tokenizer: why these models do not share a tokenizer, in words, by the bytes of their
/// tokenizer's files and what tokenizer_config.json says but for chat templates. Absent when they
/// do, or when the method does not need it. Null models do not exist yet and are not checked.
std::optional<std::string> unmet_tokenizer_need(
    const Needs& needs, const std::vector<std::shared_ptr<const Checkpoint>>& models);

/// Needs::same_initialization: which two models do not come from one, in words, as far as the
/// origins in their assay.json say: a recipe's checkpoints that start from random weights of
/// different seeds. Absent when they do or when it is not known; value_notes() looks at the weights
/// then. Null models are not checked.
std::optional<std::string> unmet_initialization_need(
    const Needs& needs, const std::vector<std::shared_ptr<const Checkpoint>>& models);

/// The models of a merge in memory as reconcile() leaves them with the policies `error`, for
/// check_compatible() to look at, with the config of the first expert. DataError as there. `base`
/// may be null.
MergeInputs reconciled_inputs(const std::shared_ptr<const Checkpoint>& base,
                              const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                              std::vector<std::string>* notes = nullptr);

/// The models of a merge whose tensors may differ (Needs::same_shapes), as they came; but where
/// tokenizers differ, embeddings and heads have a row for each token of the reference's, the base
/// or else the first expert: the own row of the token of that text, or the mean of its rows where
/// it has none, and config.json its number of tokens. DataError as refuse_unmergeable(). `base` may
/// be null.
MergeInputs unequal_inputs(const std::shared_ptr<const Checkpoint>& base,
                           const std::vector<std::shared_ptr<const Checkpoint>>& experts);
/// Whether a method that does not need the same shapes takes these as unequal_inputs(): they have
/// `mismatches` when they are reconciled, or tokenizers of their own.
bool are_unequal(const std::vector<std::string>& mismatches,
                 const std::shared_ptr<const Checkpoint>& base,
                 const std::vector<std::shared_ptr<const Checkpoint>>& experts);

/// Needs::same_shapes, of models between which there is this mismatch: why it is not met.
std::string unmet_shapes_need(const std::string& mismatch);

/// Whether the model stores floating tensors that no method sees: buffers, or copies of an
/// embedding that its config ties. Reads no tensor.
bool has_settled_tensors(const Checkpoint& model);

/// Why no model can be made of these: merges have the tensors that the base's config asks for and
/// compute as the first expert's config says, and those differ in whether a stored head is the
/// embedding. Absent when they agree, or when no model stores a head.
std::optional<std::string> tying_conflict(
    const Checkpoint& base, const std::vector<std::shared_ptr<const Checkpoint>>& experts);

/// Reads the copied tensors, and a few values of the others: notes, a line each, where integers or
/// buffers differ between the models, so that the result has those of one, and where models seem
/// not to come from one initialisation (Needs::same_initialization). For models that
/// check_compatible() accepts.
std::vector<std::string> value_notes(const MergeInputs& inputs, bool same_initialization);

/// Whether any of the methods needs models of one initialisation.
bool needs_same_initialization(const std::vector<MethodGroup>& groups);

}  // namespace assay
