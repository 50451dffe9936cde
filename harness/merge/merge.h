/// Runs methods over checkpoints: checks first, then streams part by part or tensor by tensor, or
/// passes the whole models, as each method's granularity says.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/cost.h"
#include "harness/core/json.h"
#include "harness/merge/merge_cache.h"
#include "harness/merge/sink.h"
#include "harness/method/configuration.h"

namespace assay {

struct MergeInputs {
  std::shared_ptr<const TensorSource> base;  ///< may be null
  std::vector<std::shared_ptr<const TensorSource>> experts;
  /// config.json of the model that the result is like; for methods that change its shape.
  Json config;
  std::vector<Json> expert_configs{};  ///< PlanInputs::expert_configs
  uint64_t seed = 0;
  at::Device device = at::kCPU;
  /// What all inputs are converted to before anything else; absent: methods see storage dtypes.
  std::optional<at::ScalarType> load_dtype;
  /// Absent: each tensor keeps the dtype it has in the base, or in the first expert without one.
  std::optional<at::ScalarType> dtype;
  /// The order in which tensors are merged, a permutation of their names; empty: by name. The
  /// result does not depend on it.
  std::vector<std::string> order;
  /// About how much memory the merge may take, inputs in memory included, as far as methods work by
  /// parts; 0: no limit, and inputs stay in memory.
  int64_t memory_bytes = 0;
  /// An existing folder for scratch files of methods that need more; needed where memory is
  /// limited.
  std::string scratch{};
  bool hash = false;  ///< whether the report gives content hashes of the models that were read
  /// Intermediate results of earlier merges, to which this one adds its own; owned by the caller.
  /// Null: nothing is cached. Needs content hashes of the models. That their values are finite is
  /// then checked once for all merges, at no merge's cost.
  MergeCache* cache = nullptr;
  /// For tables by layer group (configuration.h); empty: the blocks are not known.
  BlockOfTensor blocks{};
  /// For methods that look at data; null: there is none.
  const Evidence* evidence = nullptr;
  /// Makes the model for this expert's tasks; absent: the part that all tasks share. UserError
  /// unless a method has task outputs (method.h).
  std::optional<size_t> task_expert{};
  /// The shapes of tensors of the result that are not the models' (OutputTensor::shape).
  std::map<std::string, std::vector<int64_t>> shapes{};
};

struct MergeReport {
  Cost statistics;  ///< prepare()
  Cost merge;
  /// What cached values cost when they were computed: what this merge would have cost in addition
  /// without a cache. Absent when none was used.
  std::optional<Cost> shared;
  /// Of a method with task outputs: the bytes that a task model takes beyond the shared part.
  std::optional<int64_t> task_bytes;
  Json diagnostics = Json::object();
  /// config.json of a result of another shape than the inputs (Method::plan()); absent: it is
  /// theirs.
  std::optional<Json> config;
  /// Of the base and the experts, with MergeInputs::hash; absent where not all tensors were read.
  std::optional<std::string> base_hash;
  std::vector<std::optional<std::string>> expert_hashes;
};

/// What there is for a method besides the models' tensors.
struct Offered {
  bool base = false;
  size_t experts = 0;
  bool calibration_inputs = false;
  bool calibration_labels = false;
  bool gradients = false;     ///< data, and the models' architecture is known: they can be run
  bool architecture = false;  ///< the models' architecture is known
};

/// "1 expert", "2 experts".
std::string experts_text(int64_t count);

/// What keeps a method with these needs from being applied, in words; absent when nothing does.
std::optional<std::string> unmet_need(const Needs& needs, const Offered& offered);

/// What methods may hold in a merge of these.
inline WorkingMemory working_memory(const MergeInputs& inputs) {
  return {inputs.memory_bytes, inputs.scratch};
}

/// The tensors that methods make, in name order.
std::vector<std::string> merged_names(const MergeInputs& inputs);

/// The dtype to write and names, shapes and dtypes of all models. UserError on the former,
/// DataError naming model and tensor where one is missing, extra or misshapen. Reads no tensor
/// data.
void check_compatible(const MergeInputs& inputs);
/// What it says of names, shapes and dtypes, a line each.
std::vector<std::string> tensor_mismatches(const MergeInputs& inputs);

/// A method and the tensors that it makes.
struct GroupRef {
  Method& method;
  std::vector<std::string> names;  ///< in name order
};

/// What of a result is made of the same models in the same roles. All of it, unless there is a
/// plan.
struct MergeSection {
  MergeInputs inputs;  ///< their tensors have the names of the result's
  std::vector<GroupRef> groups;
};

/// The method's plan for these models; absent when it keeps their shape.
std::optional<OutputPlan> plan_of(const Method& method, const MergeInputs& inputs);

/// The sections of a result: of a plan (null: the reference's tensors) that refers to the models of
/// `inputs`. DataError when the plan names a tensor or rows that a model does not have, or one
/// output twice.
std::vector<MergeSection> merge_sections(const std::vector<MethodGroup>& groups,
                                         const MergeInputs& inputs, const OutputPlan* plan);

/// Merges models that check_compatible() finds nothing about, in any section. The result goes to
/// `sink` on inputs.device in the output dtype; integer tensors are copied from the base, or the
/// first expert without one. SkipCell when a need is not met; DataError, naming model and tensor,
/// on NaN or infinity in an input or the output. Every tensor that is merged must be in one group.
MergeReport merge_models(const std::vector<MethodGroup>& groups, const MergeInputs& inputs,
                         MergeSink& sink, const OutputPlan* plan = nullptr);
/// One method for all tensors, with its plan; calls check_compatible().
MergeReport merge_models(Method& method, const MergeInputs& inputs, MergeSink& sink);
/// The same with the method's parameters as they may be: tables become groups.
MergeReport merge_models(const MethodConfiguration& configuration, const MergeInputs& inputs,
                         MergeSink& sink);

/// merge_models() into memory.
StateDict merge_to_memory(Method& method, const MergeInputs& inputs, MergeReport* report = nullptr);

}  // namespace assay
