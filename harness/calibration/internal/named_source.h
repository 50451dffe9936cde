/// A statistic under the names that its tensors have in a merge.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

class NamedSource final : public TensorSource {
 public:
  /// `own_names`: the statistic's names, by those of the merge; empty: they are the same.
  NamedSource(std::shared_ptr<const TensorSource> source,
              const std::map<std::string, std::string>& own_names);

  std::string label() const override { return source_->label(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override { return source_->read(own(name)); }
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override {
    return source_->read_part(own(name), first, count);
  }
  std::string content_hash() const override { return source_->content_hash(); }

 private:
  const std::string& own(const std::string& name) const;

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, std::string> own_names_;
  std::vector<TensorInfo> infos_;
};

}  // namespace assay
