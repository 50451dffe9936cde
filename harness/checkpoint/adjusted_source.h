/// A view of a model with some tensors renamed, left out, borrowed from another model, or with more
/// or fewer rows. Nothing is copied: tensors are read from the models when they are needed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// The changes to a model.
struct Adjustments {
  /// A tensor that is made of another (or of itself). With fewer rows than that one it is cut;
  /// additional rows are the mean of that one's rows.
  struct View {
    std::string of;
    int64_t rows = 0;  ///< the first dimension
  };
  std::map<std::string, View> views;
  std::map<std::string, std::string> renamed;   ///< the model's names, by those they get
  std::map<std::string, std::string> left_out;  ///< why, by name: "tied", "dropped"
  /// The model that gives a tensor of this name in place of this one's, if it has one.
  std::map<std::string, std::shared_ptr<const TensorSource>> borrowed;
  std::set<std::string> copied;  ///< floating tensors that are not merged

  bool empty() const {
    return views.empty() && renamed.empty() && left_out.empty() && borrowed.empty() &&
           copied.empty();
  }
};

class AdjustedSource : public TensorSource {
 public:
  /// Views are of tensors of `source` that have at least one dimension, and at least one row where
  /// rows are added. No name is adjusted in two ways, but for copied ones.
  AdjustedSource(std::shared_ptr<const TensorSource> source, Adjustments adjustments);

  std::string label() const override { return source_->label(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override;
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override;
  void prefetch(const std::string& name, int64_t first, int64_t count) const override;
  void release(const std::string& name, int64_t first, int64_t count) const override;
  /// From the hashes of the models and what is adjusted: no tensor is read for it.
  std::string content_hash() const override;
  std::string stamp() const override { return source_->stamp(); }

  /// What is changed about a tensor, in words; empty for nothing.
  std::string change(const std::string& name) const;
  const std::map<std::string, std::string>& left_out() const { return adjustments_.left_out; }
  /// The model that a tensor is read from: the adjusted one, or the owner of a borrowed tensor.
  const TensorSource& holder(const std::string& name) const { return locate(name, 0).source; }
  bool is_copied(const std::string& name) const { return adjustments_.copied.contains(name); }

 private:
  /// Where a tensor is, and how many of the elements before `end` are there.
  struct Location {
    const TensorSource& source;
    const std::string& name;
    int64_t end;
  };
  Location locate(const std::string& name, int64_t end) const;
  at::Tensor mean_row(const std::string& name) const;

  std::shared_ptr<const TensorSource> source_;
  Adjustments adjustments_;
  std::vector<TensorInfo> infos_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> mean_rows_;  // by the name in the source
};

}  // namespace assay
