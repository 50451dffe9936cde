/// The evidence of methods: from checkpoints and tasks, or from statistics files alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/calibration/statistic_file.h"
#include "harness/method/evidence.h"
#include "harness/model/layers_of.h"

namespace assay {

/// Where evidence comes from. Nothing is called before a method asks for it.
struct EvidenceSources {
  /// Of the merged model; null: there is no network, and the tensors of statistics have the names
  /// of the merge.
  std::shared_ptr<const Architecture> architecture;
  /// The layers where there is no architecture, as statistics files list them.
  std::vector<LayerInfo> layers{};
  /// A model with the names of the merge: the base, or else the first expert.
  std::shared_ptr<const TensorSource> reference;
  at::Device device = at::kCPU;
  size_t experts = 0;
  /// A statistic with complete parameters (complete()), of one expert. SkipCell or UserError where
  /// there is none; null: there are no statistics.
  std::function<std::shared_ptr<const StatisticFile>(const StatisticRef&, size_t expert)> statistic;
  /// The examples of one expert; null: there are none.
  std::function<std::shared_ptr<const CalibrationData>(size_t expert)> data;
  /// Of experts that have them, the index of their negative examples for `data`, in place of an
  /// expert's.
  std::map<size_t, size_t> negatives{};
  /// Shared, where merges of one architecture are to share its pass without weights.
  std::shared_ptr<ForwardProfiles> profiles = std::make_shared<ForwardProfiles>();
};

/// Thread-safe. Keeps what it was given by its sources until it is destroyed.
class CalibrationEvidence : public Evidence {
 public:
  explicit CalibrationEvidence(EvidenceSources sources);
  ~CalibrationEvidence() override;

  bool has_data() const override { return sources_.statistic || sources_.data; }
  std::shared_ptr<const TensorSource> statistic(const StatisticRef& statistic,
                                                size_t expert) const override;
  /// UserError without data or architecture.
  const Network& network() const override;
  const LayerInfo* layer(const std::string& weight) const override;
  std::optional<int64_t> block(const std::string& tensor) const override;
  std::vector<PermutationGroup> permutations() const override;
  Json config_of_shapes(const std::map<std::string, std::vector<int64_t>>& shapes) const override;
  std::unique_ptr<const Network> network_of(const Json& config) const override;

 private:
  EvidenceSources sources_;
  std::map<std::string, std::string> own_names_;  ///< the architecture's, by those of the merge
  std::map<std::string, int64_t> blocks_;         ///< by names of the merge
  mutable std::mutex mutex_;                      ///< guards what is below
  mutable std::map<std::string, std::shared_ptr<const TensorSource>> statistics_;
  mutable std::optional<std::map<std::string, LayerInfo>> layers_;  ///< by names of the merge
  mutable std::unique_ptr<const Network> network_;
};

}  // namespace assay
