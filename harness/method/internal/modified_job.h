/// What a modifier gives the method that it modifies: the same merge, with other experts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/method/job.h"
#include "harness/method/passed_handle.h"

namespace assay::detail {

/// The experts of a part, modified.
using ModifyPart = std::function<std::vector<at::Tensor>(const TensorJob& part)>;

inline TensorJob modified_part(const TensorJob& part, const ModifyPart& modify, bool last) {
  TensorJob modified(part.name, std::make_shared<PassedHandle<TensorJob>>(part, last));
  modified.base = part.base;
  modified.offset = part.offset;
  modified.experts = modify(part);
  return modified;
}

inline TensorParts modified_parts(const TensorParts& tensor, const ModifyPart& modify, bool last) {
  return {
      TensorJob(tensor.name(), std::make_shared<PassedHandle<TensorParts>>(tensor, last)),
      tensor.num_experts(),
      tensor.elements(),
      tensor.dtype(),
      tensor.memory(),
      [tensor, modify, last](const TensorParts::Body& body) {
        tensor.for_each([&](const TensorJob& part) { body(modified_part(part, modify, last)); });
      }};
}

class ModifiedJob final : public ModelJob {
 public:
  /// `modify` gives what modifies the parts of a tensor.
  ModifiedJob(const ModelJob& job, std::function<ModifyPart(const std::string& tensor)> modify,
              bool last)
      : job_(job), modify_(std::move(modify)), last_(last) {}
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override {
    return modified_parts(job_.parts(name), modify_(name), last_);
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override {
    return modified_part(job_.tensor(name), modify_(name), last_);
  }
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  const ModelJob& job_;
  const std::function<ModifyPart(const std::string& tensor)> modify_;
  const bool last_;
};

}  // namespace assay::detail
