#include "harness/sweep/internal/cell_predictor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/language_predictor.h"
#include "harness/merge/merge.h"
#include "harness/merge/model_checks.h"
#include "harness/model/ensemble.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/cache_memory.h"
#include "harness/sweep/internal/held_models.h"
#include "harness/sweep/internal/merge_costs.h"

namespace assay {
namespace {

/// Lets go of all that was read from checkpoints or computed from what was read.
void forget_models();

// Empty where a file is gone.
std::string stamp_now(const Checkpoint& checkpoint) {
  try {
    return checkpoint.stamp();
  } catch (const fs::filesystem_error&) {
    return "";
  }
}

// Checkpoints stay mapped while their files stay as they are: the cells of a sweep share them.
std::shared_ptr<const Checkpoint> open_checked(const ModelRef& model) {
  struct Opened {
    std::shared_ptr<const Checkpoint> checkpoint;
    std::string stamp;
  };
  static std::map<std::string, Opened> opened;
  const ModelPath path(model.path, model.adapter);
  Opened& known = opened[path.text()];
  if (known.checkpoint) {
    if (stamp_now(*known.checkpoint) == known.stamp &&
        known.checkpoint->content_hash() == model.hash)
      return known.checkpoint;
    // The old files may have been read while they changed. They are let go before they are mapped
    // anew: a mapping that changed counts against the cell.
    forget_models();
    known = {};
  }
  const auto checkpoint = Checkpoint::open(path);
  const std::string stamp = stamp_now(*checkpoint);
  if (checkpoint->content_hash() != model.hash)
    data_error("{}: the weights changed since the sweep was planned", path.text());
  known = {checkpoint, stamp};
  return checkpoint;
}

/// The part of the cache for thresholds, norms and inner products; the rest is for task vectors.
int64_t values_bytes() { return std::min(int64_t{256} << 20, cache_memory() / 8); }

/// What this process keeps from cell to cell on one device. Cells run one after the other.
struct Workplace {
  explicit Workplace(at::Device where) : device(where), merged(where) { forget(); }
  void forget() {
    reconciled.clear();
    shared.emplace(values_bytes(), keeps_task_vectors() ? cache_memory() - values_bytes() : 0);
    if (!device.is_cpu()) held.emplace(device);
  }
  MergeInputs inputs(const Cell& cell) {
    std::vector<std::shared_ptr<const Checkpoint>> experts;
    for (const ModelRef& expert : cell.experts) experts.push_back(open_checked(expert));
    const auto base = cell.base.path.empty() ? nullptr : open_checked(cell.base);
    std::vector<const Checkpoint*> models{base.get()};
    for (const auto& expert : experts) models.push_back(expert.get());
    auto known = reconciled.find(models);
    if (known == reconciled.end())
      known = reconciled.emplace(models, reconciled_inputs(base, experts)).first;
    MergeInputs made = known->second;
    if (!held) return made;
    if (made.base) made.base = held->hold(made.base);
    for (auto& expert : made.experts) expert = held->hold(expert);
    return made;
  }

  at::Device device;
  MemorySink merged;                 ///< each cell's model, in the place of the last one's
  std::optional<MergeCache> shared;  ///< there from the start
  std::optional<HeldModels> held;    ///< on the CPU, checkpoints are mapped
  /// By base, which may be null, and experts; the values hold them.
  std::map<std::vector<const Checkpoint*>, MergeInputs> reconciled;
};

std::map<std::string, Workplace>& workplaces() {
  // Never destroyed: at the end of the program a device's library may be gone before.
  static auto* places = new std::map<std::string, Workplace>;
  return *places;
}

Workplace& workplace(at::Device device) {
  return workplaces().try_emplace(device.str(), device).first->second;
}

void forget_models() {
  for (auto& [unused, place] : workplaces()) place.forget();
}

Computation computation_of(const ModelRef& model) {
  Computation computation = open_computation(*open_checked(model));
  if (computation_hash(*computation.architecture, computation.tokenizer.get()) != model.computation)
    data_error("{}: config.json or the tokenizer's files changed since the sweep was planned",
               model.path);
  return computation;
}

// `hash`: of the weights. Null when this is no model of text.
std::shared_ptr<const Predictor> text_predictor(const Computation& computation,
                                                const TensorSource& weights, const Cell& cell,
                                                const std::string& hash, const Devices& devices) {
  const auto& [architecture, tokenizer] = computation;
  if (!tokenizer) return nullptr;
  const at::Device device = devices.front();
  std::optional<at::ScalarType> dtype;
  if (!cell.dtype.empty()) dtype = dtype_from_name(cell.dtype, "a cell");
  StateDict loaded =
      load_placed(*architecture, weights, devices, compute_dtype(dtype, device, weights));
  if (auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(architecture))
    return std::make_shared<LanguagePredictor>(
        LanguageModel{std::move(decoder), std::move(loaded), device, tokenizer, hash});
  if (auto both = std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(architecture))
    return std::make_shared<LanguagePredictor>(
        SequenceToSequenceModel{std::move(both), std::move(loaded), device, tokenizer, hash});
  auto encoder = std::dynamic_pointer_cast<const EncoderArchitecture>(architecture);
  ASSAY_CHECK(encoder, "a model with a tokenizer and no text");
  return std::make_shared<EncoderModelPredictor>(
      EncoderModel{std::move(encoder), std::move(loaded), device, tokenizer, hash});
}

std::shared_ptr<const Predictor> load_predictor(const Cell& cell, const ModelRef& model,
                                                const Devices& devices) {
  const auto checkpoint = open_checked(model);
  const Computation computation = computation_of(model);
  const auto& architecture = computation.architecture;
  check_devices(*architecture, devices);
  if (auto text = text_predictor(computation, *checkpoint, cell, model.hash, devices)) return text;
  if (!cell.dtype.empty())
    user_error("{}: a dtype is for models of text; this one computes in what it is stored in",
               model.path);
  StateDict weights = load_weights(*architecture, *checkpoint, devices.front());
  return std::make_shared<ModelPredictor>(architecture, std::move(weights), devices.front());
}

std::shared_ptr<const Predictor> merge_predictor(const Cell& cell, const Devices& devices,
                                                 RunRecord& record) {
  // A model that needs several devices is merged in the host's memory.
  const at::Device device = devices.size() == 1 ? devices.front() : at::Device(at::kCPU);
  const Computation computation = computation_of(cell.experts.front());
  check_devices(*computation.architecture, devices);
  Workplace& place = workplace(device);
  MergeInputs inputs = place.inputs(cell);
  inputs.cache = &*place.shared;
  inputs.seed = cell.seed;
  inputs.device = device;

  // The parameters are complete, so a preset has nothing to add.
  const auto method =
      make_method(parse_method_ref(cell.method).name, JsonReader(cell.parameters, "parameters"));
  const MergeReport report = merge_models(*method, inputs, place.merged);
  record.costs = merge_costs(cell, inputs, report, place.merged);
  record.diagnostics = report.diagnostics;
  const MemorySource merged("the merged model", place.merged.tensors());
  if (auto text = text_predictor(computation, merged, cell, cell.model_key(), devices)) return text;
  return std::make_shared<ModelPredictor>(computation.architecture, place.merged.tensors(), device);
}

std::shared_ptr<const Predictor> make_ensemble(
    std::vector<std::shared_ptr<const Predictor>> members, const Cell& cell) {
  std::vector<AnyLanguageModel> writers;
  std::vector<std::shared_ptr<const EncoderPredictor>> encoders;
  for (const auto& member : members) {
    if (const LanguagePredictor* writer = as_language_model(*member))
      writers.push_back(writer->evaluator().model());
    if (auto encoder = std::dynamic_pointer_cast<const EncoderPredictor>(member))
      encoders.push_back(std::move(encoder));
  }
  if (writers.size() == members.size())
    return std::make_shared<LanguagePredictor>(ensemble_of(writers, cell.model_key()));
  if (encoders.size() == members.size())
    return std::make_shared<EncoderEnsemble>(std::move(encoders));
  return std::make_shared<EnsemblePredictor>(std::move(members));
}

}  // namespace

std::shared_ptr<const Predictor> make_predictor(const Cell& cell, const Devices& devices,
                                                RunRecord& record) {
  if (cell.kind == "merge") return merge_predictor(cell, devices, record);
  if (cell.kind == "ensemble" && devices.size() > 1)
    throw SkipCell("the members of an output ensemble lie on one device");
  std::vector<std::shared_ptr<const Predictor>> members;
  for (const ModelRef& expert : cell.experts)
    members.push_back(load_predictor(cell, expert, devices));
  if (cell.kind == "ensemble") return make_ensemble(std::move(members), cell);
  ASSAY_CHECK(cell.kind == "model" && members.size() == 1, "cell of kind {}", cell.kind);
  return members.front();
}

}  // namespace assay
