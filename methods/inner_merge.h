/// The merge of one whole tensor by another method, for methods that change what it is given or
/// what it gives.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// The same job with other tensors, and with its draws. Nothing is cached: the engine's keys are
/// those of the models as they are.
TensorJob inner_job(const TensorJob& job, at::Tensor base, std::vector<at::Tensor> experts);
/// These whole tensors as parts.
TensorParts inner_parts(const TensorJob& job, const at::Tensor& base,
                        const std::vector<at::Tensor>& experts);
/// The tensors themselves.
TensorParts inner_parts(const TensorParts& tensor);

/// What a method that works by parts or by tensors makes of these whole tensors, in their shape.
/// Without a base where the method needs none.
at::Tensor merge_inner(const Method& method, const TensorJob& job, const at::Tensor& base,
                       const std::vector<at::Tensor>& experts);

/// The models as merge_inner() shows them tensor by tensor.
class InnerModel final : public ModelJob {
 public:
  explicit InnerModel(const ModelJob& models) : models_(models) {}
  size_t num_experts() const override { return models_.num_experts(); }
  const std::vector<std::string>& names() const override { return models_.names(); }
  TensorParts parts(const std::string& name) const override {
    return inner_parts(models_.parts(name));
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    models_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override {
    const TensorJob job = models_.tensor(name);
    return inner_job(job, job.base, job.experts);
  }
  const Evidence& evidence() const override { return models_.evidence(); }

 private:
  const ModelJob& models_;
};

/// Why the method in the parameter 'of' is none that merges task vectors, one tensor at a time;
/// absent when it is.
std::optional<std::string> inner_conflict(const Method& of);

/// Why the method in this parameter does not give one model of the inputs' shape; absent when it
/// does.
std::optional<std::string> form_conflict(const std::string& parameter, const Method& method);

}  // namespace assay
