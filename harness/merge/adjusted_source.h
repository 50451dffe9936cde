/// A model seen with some tensors renamed, left out, or with more or fewer rows. Nothing is copied:
/// tensors are read from the model as they are needed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// What is changed about a model.
struct Adjustments {
  /// A tensor that is made of another (or of itself). With fewer rows than that has, it is cut; the
  /// rows it has more are the mean of all rows there.
  struct View {
    std::string of;
    int64_t rows = 0;  ///< the first dimension
  };
  std::map<std::string, View> views;
  std::set<std::string> left_out;

  bool empty() const { return views.empty() && left_out.empty(); }
};

class AdjustedSource : public TensorSource {
 public:
  /// Views are of tensors of `source` that have at least one dimension, and at least one row where
  /// rows are added.
  AdjustedSource(std::shared_ptr<const TensorSource> source, Adjustments adjustments);

  std::string label() const override { return source_->label(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override;
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override;
  void will_need(const std::string& name, int64_t first, int64_t count) const override;
  void release(const std::string& name, int64_t first, int64_t count) const override;
  std::string content_hash() const override { return assay::content_hash(*this); }
  std::string stamp() const override { return source_->stamp(); }

  /// What is done to a tensor, in words; empty for nothing.
  std::string change(const std::string& name) const;
  const std::set<std::string>& left_out() const { return adjustments_.left_out; }

 private:
  /// The name in the source, and how many of the elements before `end` are there.
  std::pair<const std::string&, int64_t> locate(const std::string& name, int64_t end) const;
  at::Tensor mean_row(const std::string& name) const;

  std::shared_ptr<const TensorSource> source_;
  Adjustments adjustments_;
  std::vector<TensorInfo> infos_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> mean_rows_;  // by the name in the source
};

}  // namespace assay
