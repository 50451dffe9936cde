/// One merge described by a file: mergekit's YAML (see harness/merge/mergekit/yaml.h) or JSON:
///
///   {"method": "ties", "parameters": {"density": 0.2}, "base": "base/",
///    "experts": ["a/", "b/"], "seed": 0, "dtype": "bfloat16", "vocab_policy": "error",
///    "extra_tensors": "error"}
///
/// Models are named as in find_model(), with paths relative to the file; an adapter among the
/// experts is added to the base. Only "method" and "experts" are required. Methods that look at
/// data take them from the experts' own tasks, or statistics of them from files, one per expert:
///
///   "calibration": {"tasks": {"a/": ["digits/mnist-012"], "b/": [...]}, "split": "validation"}
///   "statistics": {"input_gram": ["a.safetensors", "b.safetensors"]}
///
/// "task_expert", the name or index of an expert, is for methods that make a model per task. In
/// place of "experts", "slices" stack layers (slices.h):
///
///   {"method": "passthrough", "slices": [{"sources": [{"model": "a/", "layer_range": [0, 8]}]}]}
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"
#include "harness/merge/request/reconcile.h"

namespace assay {

/// What the command line says; it overrides the file.
struct MergeChoices {
  std::optional<uint64_t> seed{};
  std::optional<VocabPolicy> vocab_policy{};
  std::optional<ExtraTensors> extra_tensors{};
  std::optional<std::string> task_expert{};  ///< JSON only
  /// The blocks of a model by its config.json, for tables by layer group; absent where Assay does
  /// not know the architecture. Null: no architecture is known.
  std::function<std::optional<BlockOfTensor>(const Checkpoint& model)> blocks{};
  /// What the architecture of models tells, without data: for methods that plan another shape from
  /// it. Null: nothing.
  std::function<std::unique_ptr<const Evidence>(const MergeInputs& models)> structure{};
};

/// Texts that tell what an expert is for.
struct ExpertPrompts {
  std::vector<std::string> positive, negative;

  bool operator==(const ExpertPrompts&) const = default;
};

/// A merge as it was requested: the inputs, and which methods make which tensors.
struct MergeRequest {
  std::string title;   ///< of the model card: the method
  Json configuration;  ///< what determines the result, for the card and assay.json
  std::string yaml;    ///< the text of mergekit's configuration; empty for JSON
  MergeInputs inputs;  ///< base, experts, seed, dtypes
  std::vector<MethodGroup> groups;
  std::optional<OutputPlan> plan{};  ///< of `inputs`; absent: the reference's tensors
  /// The experts as they are named and stored, in the order of inputs.experts.
  std::vector<std::pair<std::string, std::shared_ptr<const Checkpoint>>> experts;
  std::vector<StatisticRef> statistics;  ///< that the method reads
  bool needs_data = false;               ///< the method needs calibration data or statistics
  bool needs_architecture = false;       ///< it needs to know the layers
  /// What the file says of calibration and of statistics files; null: nothing. Whoever can read
  /// data makes MergeInputs::evidence of it.
  Json calibration, statistics_files;
  /// Of each expert, where the file gives them in place of calibration data; else empty.
  std::vector<ExpertPrompts> prompts;
  std::shared_ptr<const Checkpoint> like;  ///< gives config.json and the side files
  Json config;                             ///< config.json of the result; null for none
  /// What goes into the folder next to the weights (see side_files()), by the names there.
  std::map<std::filesystem::path, std::filesystem::path> side_files;
  /// Folders and files of the models and adapters that are read.
  std::vector<std::filesystem::path> read_from;
  std::vector<std::string> notes;     ///< what the user should know, a line each
  std::vector<std::string> problems;  ///< what keeps the merge from being done, likewise

  /// What is merged of which models; refers to `groups`.
  std::vector<MergeSection> sections() const;

  /// UserError on anything wrong with the file, before a checkpoint is opened; DataError from
  /// opening the checkpoints. What is wrong between them is in `problems`: there are no groups
  /// then.
  static MergeRequest read(const std::filesystem::path& path, const MergeChoices& choices = {});
};

}  // namespace assay
