/// What a method is given of a merge.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/merge/engine/diagnostics.h"
#include "harness/merge/engine/model_reader.h"
#include "harness/merge/engine/tensor_handle.h"

namespace assay {

/// The tensors of one method's group.
class GroupJob : public ModelJob {
 public:
  GroupJob(const MethodInfo& info, const std::vector<std::string>& names, ModelReader& models,
           Diagnostics& diagnostics)
      : info_(info), names_(names), models_(models), diagnostics_(diagnostics) {}

  size_t num_experts() const override { return models_.num_experts(); }
  const std::vector<std::string>& names() const override { return names_; }
  void for_each(const std::function<void(size_t index)>& body) const override;
  TensorParts parts(const std::string& name) const override { return parts(handle(name)); }
  TensorJob tensor(const std::string& name) const override;
  const Evidence& evidence() const override;

  /// For the engine: the tensor's handle, and its parts by that handle.
  std::shared_ptr<TensorHandle> handle(const std::string& name) const;
  TensorParts parts(const std::shared_ptr<TensorHandle>& handle) const;

 private:
  const MethodInfo& info_;
  const std::vector<std::string>& names_;
  ModelReader& models_;
  Diagnostics& diagnostics_;
};

}  // namespace assay
