/// Some tensors of a merge, for a method that leaves them to another.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/method/job.h"

namespace assay {

/// Must not outlive the job.
class SomeTensors final : public ModelJob {
 public:
  SomeTensors(const ModelJob& job, const std::function<bool(const std::string&)>& taken)
      : job_(job) {
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
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  const ModelJob& job_;
  std::vector<std::string> names_;
  std::vector<std::optional<size_t>> places_;  ///< in names_, of each of the job's names
};

}  // namespace assay
