/// How merge files of either format become a MergeRequest.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/merge/request/merge_file.h"

namespace assay {

/// Opens all of them; the same path gives the same model. DataError that names every one that
/// cannot be opened.
std::vector<std::shared_ptr<const Checkpoint>> open_models(const std::vector<ModelPath>& paths);

/// Notes where names of models were found, adds it to the request's configuration, and lists the
/// folders and files that are read.
void note_paths(MergeRequest& request, const std::vector<ModelPath>& paths);

/// Gives a request its models: reconciles them, and notes what differs or is wrong. `base` may be
/// null; `like` gives config.json and the side files. Without `same_shapes`, models that cannot be
/// reconciled are taken as they came (unequal_inputs()). DataError as reconcile().
void set_models(MergeRequest& request, const std::shared_ptr<const Checkpoint>& base,
                const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                const std::shared_ptr<const Checkpoint>& like, const ReconcileOptions& options,
                bool same_shapes = true);

/// DataError, beginning with the request's title, when models that are merged with each other do
/// not have the one tokenizer or initialisation that the method needs.
void check_origins(const MergeRequest& request, const Needs& needs,
                   const std::vector<std::shared_ptr<const Checkpoint>>& models);

/// The method makes all tensors, those of its plan where it has one. For requests with models and
/// without problems. `structure`: what its plan may know of the architecture; may be null.
void set_method(MergeRequest& request, const MethodConfiguration& method,
                const Evidence* structure);

/// The result is what `plan` says: sets its config, and the problems of models whose tensors do not
/// fit together.
void set_plan(MergeRequest& request, OutputPlan plan);

/// The request's models and groups from a JSON file's `slices`. `parameters` are those of the file,
/// `base` may be empty.
void set_slices(MergeRequest& request, const MethodConfiguration& method, const JsonReader& slices,
                const Json& parameters, const std::string& base,
                const std::filesystem::path& folder, ReconcileOptions options);

/// The request of mergekit's YAML. Without groups when there are problems.
MergeRequest mergekit_request(const std::filesystem::path& path, const std::string& text,
                              const MergeChoices& choices);

}  // namespace assay
