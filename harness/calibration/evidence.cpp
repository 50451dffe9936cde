#include "harness/calibration/evidence.h"

#include <ATen/ATen.h>

#include "harness/calibration/internal/calibrated_network.h"
#include "harness/calibration/internal/named_source.h"
#include "harness/core/error.h"
#include "harness/model/permutations.h"

namespace assay {

CalibrationEvidence::CalibrationEvidence(EvidenceSources sources) : sources_(std::move(sources)) {
  if (!sources_.architecture) return;
  ASSAY_CHECK(sources_.reference, "an architecture without the names of a model");
  const CheckpointNames names = sources_.architecture->checkpoint_names();
  const auto blocks = block_of_tensors(*sources_.architecture);
  for (const TensorInfo& info : sources_.reference->tensors()) {
    const std::string own = canonical_name(names, info.name);
    own_names_.emplace(info.name, own);
    if (const auto block = blocks.find(own); block != blocks.end())
      blocks_.emplace(info.name, block->second);
  }
}

CalibrationEvidence::~CalibrationEvidence() = default;

std::shared_ptr<const TensorSource> CalibrationEvidence::statistic(const StatisticRef& statistic,
                                                                   size_t expert) const {
  const StatisticRef full = complete(statistic);
  const std::string key = fmt::format("{} {} {}", expert, full.name, canonical(full.parameters));
  const std::lock_guard lock(mutex_);
  auto& known = statistics_[key];
  if (!known) known = std::make_shared<NamedSource>(sources_.statistic(full, expert), own_names_);
  return known;
}

const Network& CalibrationEvidence::network() const {
  const std::lock_guard lock(mutex_);
  if (!network_) {
    if (!sources_.architecture || !sources_.data)
      user_error(
          "the network is asked for, but there are statistics only: give calibration data, and "
          "models with a config.json");
    network_ = std::make_unique<CalibratedNetwork>(sources_.architecture, sources_.reference,
                                                   sources_.device, own_names_, sources_.data,
                                                   sources_.negatives);
  }
  return *network_;
}

const LayerInfo* CalibrationEvidence::layer(const std::string& weight) const {
  const std::lock_guard lock(mutex_);
  if (!layers_) {
    layers_.emplace();
    const std::vector<LayerInfo> all =
        sources_.architecture
            ? layers_of(*sources_.architecture, sources_.reference->tensors(), *sources_.profiles)
            : sources_.layers;
    for (LayerInfo layer : all) {
      layer.depth = static_cast<int64_t>(layers_->size());
      layers_->emplace(layer.weight, std::move(layer));
    }
  }
  const auto found = layers_->find(weight);
  return found == layers_->end() ? nullptr : &found->second;
}

std::optional<int64_t> CalibrationEvidence::block(const std::string& tensor) const {
  if (const auto found = blocks_.find(tensor); found != blocks_.end()) return found->second;
  if (sources_.architecture) return std::nullopt;
  const LayerInfo* known = layer(tensor);
  return known ? known->block : std::nullopt;
}

std::vector<PermutationGroup> CalibrationEvidence::permutations() const {
  if (!sources_.architecture)
    user_error(
        "the units of the network are asked for, but there are statistics only: give models with a "
        "config.json");
  return permutations_of(*sources_.architecture, sources_.reference->tensors());
}

Json CalibrationEvidence::config_of_shapes(
    const std::map<std::string, std::vector<int64_t>>& shapes) const {
  if (!sources_.architecture) return nullptr;
  std::map<std::string, std::vector<int64_t>> own;
  for (const auto& [name, shape] : shapes)
    if (const auto found = own_names_.find(name); found != own_names_.end())
      own[found->second] = shape;
  return sources_.architecture->config_of_shapes(own).value_or(nullptr);
}

std::unique_ptr<const Network> CalibrationEvidence::network_of(const Json& config) const {
  if (!sources_.data || !sources_.architecture) return Evidence::network_of(config);
  return std::make_unique<CalibratedNetwork>(make_architecture(JsonReader(config, "the result")),
                                             nullptr, sources_.device, own_names_, sources_.data,
                                             sources_.negatives);
}

}  // namespace assay
