/// Some tensors of a merge, for a method that leaves them to another.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/method/evidence.h"
#include "harness/method/job.h"

namespace assay {

/// What is known of a merge but for its network: the rest of an expert's tensors would be the
/// reference's, and what it gives no expert's.
class EvidenceOfTensors final : public Evidence {
 public:
  explicit EvidenceOfTensors(const ModelJob& job) : job_(job) {}
  bool has_data() const override { return job_.evidence().has_data(); }
  std::shared_ptr<const TensorSource> statistic(const StatisticRef& statistic,
                                                size_t expert) const override {
    return job_.evidence().statistic(statistic, expert);
  }
  /// UserError.
  const Network& network() const override {
    user_error(
        "a method that runs the network cannot merge some of a model's tensors for another one: "
        "name one that looks at weights or statistics alone");
  }
  const LayerInfo* layer(const std::string& weight) const override {
    return job_.evidence().layer(weight);
  }
  std::optional<int64_t> block(const std::string& tensor) const override {
    return job_.evidence().block(tensor);
  }
  std::vector<PermutationGroup> permutations() const override {
    return job_.evidence().permutations();
  }

 private:
  const ModelJob& job_;
};

/// Must not outlive the job.
class SomeTensors final : public ModelJob {
 public:
  /// `network`: whether the network is theirs to run, as for routers.
  SomeTensors(const ModelJob& job, const std::function<bool(const std::string&)>& taken,
              bool network = false)
      : job_(job), own_(job), network_(network) {
    for (const std::string& name : job.names()) {
      places_.push_back(taken(name) ? std::optional(names_.size()) : std::nullopt);
      if (places_.back()) names_.push_back(name);
    }
  }
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return names_; }
  TensorParts parts(const std::string& name) const override { return job_.parts(name); }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each([&](size_t index) {
      if (places_[index]) body(*places_[index]);
    });
  }
  TensorJob tensor(const std::string& name) const override { return job_.tensor(name); }
  const Evidence& evidence() const override {
    return network_ ? job_.evidence() : static_cast<const Evidence&>(own_);
  }

 private:
  const ModelJob& job_;
  EvidenceOfTensors own_;
  bool network_;
  std::vector<std::string> names_;
  std::vector<std::optional<size_t>> places_;  ///< in names_, of each of the job's names
};

}  // namespace assay
