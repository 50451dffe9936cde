#include "harness/sweep/internal/cell_predictor.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/calibration/evidence.h"
#include "harness/core/error.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/language_predictor.h"
#include "harness/model/ensemble.h"
#include "harness/model/layers_of.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/internal/device_cache.h"
#include "harness/sweep/internal/merge_costs.h"
#include "harness/sweep/internal/model_size.h"
#include "harness/sweep/internal/routing_counts.h"
#include "harness/sweep/internal/used_plugins.h"

namespace assay {
namespace {

/// Makes the model of one cell.
class ModelMaker {
 public:
  ModelMaker(ExecutionContext& context, const Cell& cell)
      : context_(context), cell_(cell), devices_(cell.devices) {}

  std::shared_ptr<const Predictor> load(const ModelRef& model, RunRecord& record) const;
  std::shared_ptr<const Predictor> merge(std::optional<size_t> owner, RunRecord& record) const;
  std::shared_ptr<const Predictor> ensemble(std::vector<std::shared_ptr<const Predictor>> members,
                                            RunRecord& record) const;
  /// Of one expert's tasks, or of those that belong to none.
  std::shared_ptr<const Predictor> own_expert(std::optional<size_t> owner, RunRecord& record) const;

 private:
  /// For a method that looks at data; null for the others.
  std::unique_ptr<const Evidence> evidence_of(const Computation& computation,
                                              const MergeInputs& inputs) const;
  Computation computation_of(const ModelRef& model) const;
  /// That of a merge of models which compute like `expert`: the method may change their shape.
  Computation merged_computation(Computation expert, const MergeReport& report) const;
  /// `hash`: of the weights. Null when this is no model of text.
  std::shared_ptr<const Predictor> text_predictor(const Computation& computation,
                                                  const TensorSource& weights,
                                                  const std::string& hash) const;

  ExecutionContext& context_;
  const Cell& cell_;
  const Devices& devices_;
};

Computation ModelMaker::computation_of(const ModelRef& model) const {
  Computation computation = open_computation(*context_.open(model));
  if (computation_hash(*computation.architecture, computation.tokenizer.get()) != model.computation)
    data_error("{}: config.json or the tokenizer's files changed since the sweep was planned",
               model.path);
  return computation;
}

Computation ModelMaker::merged_computation(Computation expert, const MergeReport& report) const {
  if (!report.config) return expert;
  expert.architecture = make_architecture(JsonReader(*report.config, "the merged model's config"));
  check_devices(*expert.architecture, devices_);
  return expert;
}

std::shared_ptr<const Predictor> ModelMaker::text_predictor(const Computation& computation,
                                                            const TensorSource& weights,
                                                            const std::string& hash) const {
  const auto& [architecture, tokenizer] = computation;
  if (!tokenizer) return nullptr;
  const at::Device device = devices_.front();
  StateDict loaded =
      load_placed(*architecture, weights, devices_, compute_dtype(cell_.dtype, device, weights));
  if (auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(architecture))
    return std::make_shared<LanguagePredictor>(
        LanguageModel{std::move(decoder), std::move(loaded), device, tokenizer, hash},
        context_.tokens());
  if (auto both = std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(architecture))
    return std::make_shared<LanguagePredictor>(
        SequenceToSequenceModel{std::move(both), std::move(loaded), device, tokenizer, hash},
        context_.tokens());
  if (auto routed = std::dynamic_pointer_cast<const RoutedArchitecture>(architecture))
    return std::make_shared<LanguagePredictor>(
        RoutedModel{std::move(routed), std::move(loaded), device, tokenizer, hash},
        context_.tokens());
  auto encoder = std::dynamic_pointer_cast<const EncoderArchitecture>(architecture);
  ASSAY_CHECK(encoder, "a model with a tokenizer and no text");
  return std::make_shared<EncoderModelPredictor>(
      EncoderModel{std::move(encoder), std::move(loaded), device, tokenizer, hash}, std::nullopt,
      context_.tokens());
}

std::shared_ptr<const Predictor> ModelMaker::load(const ModelRef& model, RunRecord& record) const {
  const auto checkpoint = context_.open(model);
  const Computation computation = computation_of(model);
  const auto& architecture = computation.architecture;
  note_plugins(*architecture, record);
  check_devices(*architecture, devices_);
  if (cell_.kind == CellKind::kModel)
    record.diagnostics[kModelSize] = model_size(*architecture, *checkpoint, *context_.profiles());
  if (auto text = text_predictor(computation, *checkpoint, model.hash)) return text;
  if (cell_.dtype)
    user_error("{}: a dtype is for models of text; this one computes in what it is stored in",
               model.path);
  StateDict weights = load_weights(*architecture, *checkpoint, devices_.front());
  return std::make_shared<ModelPredictor>(architecture, std::move(weights), devices_.front());
}

std::unique_ptr<const Evidence> ModelMaker::evidence_of(const Computation& computation,
                                                        const MergeInputs& inputs) const {
  if (!cell_.calibration && !configuration_of(cell_).needs().architecture) return nullptr;
  EvidenceSources sources;
  sources.architecture = computation.architecture;
  sources.reference = inputs.base ? inputs.base : inputs.experts.front();
  sources.device = inputs.device;
  sources.experts = inputs.experts.size();
  sources.profiles = context_.profiles();
  if (!cell_.calibration) return std::make_unique<CalibrationEvidence>(std::move(sources));
  sources.statistic = [this](const StatisticRef& statistic, size_t expert) {
    return context_.statistic(cell_.statistic_job(statistic, expert));
  };
  sources.data = [this](size_t expert) { return context_.examples(cell_, expert); };
  return std::make_unique<CalibrationEvidence>(std::move(sources));
}

std::shared_ptr<const Predictor> ModelMaker::merge(std::optional<size_t> owner,
                                                   RunRecord& record) const {
  // A model that needs several devices is merged in the host's memory.
  const at::Device device = devices_.size() == 1 ? devices_.front() : at::Device(at::kCPU);
  const Computation of_expert = computation_of(cell_.experts.front());
  note_plugins(*of_expert.architecture, record);
  check_devices(*of_expert.architecture, devices_);
  std::vector<std::shared_ptr<const Checkpoint>> experts;
  for (const ModelRef& expert : cell_.experts) experts.push_back(context_.open(expert));
  const auto base = cell_.base.path.empty() ? nullptr : context_.open(cell_.base);
  if (cell_.calibration) context_.keep_examples();
  DeviceCache& cache = context_.on(device);
  MergeInputs inputs = cache.inputs(base, experts, configuration_of(cell_).needs().same_shapes);
  inputs.seed = cell_.seed;
  const auto evidence = evidence_of(of_expert, inputs);
  inputs.evidence = evidence.get();
  inputs.task_expert = owner;

  const MethodConfiguration configuration = configuration_of(cell_);
  if (configuration.has_tables())
    inputs.blocks = block_of_tensors(
        *of_expert.architecture, (inputs.base ? inputs.base : inputs.experts.front())->tensors());
  const MergeReport report = merge_models(configuration, inputs, cache.merged());
  add_merge_costs(merge_costs(cell_, inputs, report, cache.merged()), record.costs);
  record.diagnostics.update(report.diagnostics);
  if (report.task_bytes) record.diagnostics[kTaskBytes] = *report.task_bytes;
  const Computation computation = merged_computation(of_expert, report);
  const StateDict& tensors = cache.merged().tensors();
  const MemorySource merged("the merged model", tensors);
  record.diagnostics[kModelSize] =
      model_size(*computation.architecture, merged, *context_.profiles());
  if (configuration.needs().output == Output::kEnsemble)
    note_members(cell_, *computation.architecture, record);
  if (auto text = text_predictor(computation, merged, cell_.model_key(owner))) return text;
  return std::make_shared<ModelPredictor>(computation.architecture, tensors, device);
}

std::shared_ptr<const Predictor> ModelMaker::ensemble(
    std::vector<std::shared_ptr<const Predictor>> members, RunRecord& record) const {
  const EnsembleRule rule = cell_.ensemble_rule();
  std::vector<AnyLanguageModel> writers;
  std::vector<std::shared_ptr<const EncoderPredictor>> encoders;
  for (const auto& member : members) {
    if (const LanguagePredictor* writer = as_language_model(*member))
      writers.push_back(writer->evaluator().model());
    if (auto encoder = std::dynamic_pointer_cast<const EncoderPredictor>(member))
      encoders.push_back(std::move(encoder));
  }
  const bool writes = writers.size() == members.size();
  const EnsembleRule usual = writes ? EnsembleRule::kProbabilities : EnsembleRule::kLogits;
  record.diagnostics["ensemble"] = ensemble_rule_name(rule == EnsembleRule::kUsual ? usual : rule);
  if (writes)
    return std::make_shared<LanguagePredictor>(ensemble_of(writers, cell_.model_key(), rule),
                                               context_.tokens());
  if (encoders.size() == members.size())
    return std::make_shared<EncoderEnsemble>(std::move(encoders), rule);
  return std::make_shared<EnsemblePredictor>(std::move(members), rule);
}

std::shared_ptr<const Predictor> ModelMaker::own_expert(std::optional<size_t> owner,
                                                        RunRecord& record) const {
  const ModelRef& model = owner ? cell_.experts.at(*owner) : cell_.base;
  ASSAY_CHECK(!model.path.empty(), "a task without a model");
  int64_t bytes = record.diagnostics.value(kTaskBytes, int64_t{0});
  if (owner) {
    int64_t own = 0;
    const auto checkpoint = context_.open(model);
    for (const TensorInfo& tensor : checkpoint->tensors()) own += tensor.bytes();
    bytes = std::max(bytes, own);
  }
  record.diagnostics[kTaskBytes] = bytes;
  return load(model, record);
}

}  // namespace

std::shared_ptr<const Predictor> make_predictor(ExecutionContext& context, const Cell& cell,
                                                std::optional<size_t> owner, RunRecord& record) {
  const ModelMaker maker(context, cell);
  if (cell.kind == CellKind::kMerge) return maker.merge(owner, record);
  if (cell.kind == CellKind::kOwnExpert) return maker.own_expert(owner, record);
  if (cell.kind == CellKind::kEnsemble && cell.devices.size() > 1)
    throw SkipCell("the members of an output ensemble must be on one device");
  std::vector<std::shared_ptr<const Predictor>> members;
  for (const ModelRef& expert : cell.experts) members.push_back(maker.load(expert, record));
  if (cell.kind == CellKind::kEnsemble) return maker.ensemble(std::move(members), record);
  ASSAY_CHECK(members.size() == 1, "a model cell of {} models", members.size());
  return members.front();
}

}  // namespace assay
