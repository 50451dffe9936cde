/// A view of a model with some tensors renamed, repeated, left out, borrowed from another model, or
/// with more or fewer rows, more columns, or rows in another order. Nothing is copied: tensors are
/// read from the models when they are needed.
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
    int64_t rows = 0;   ///< the first dimension
    int64_t first = 0;  ///< the first row of that one that is taken
    /// The last dimension of a matrix, at least that one's: zeros follow its values. 0: that one's.
    int64_t columns = 0;
    /// Of each row, which of that one's it is; -1: the mean of all. Null: they follow each other.
    std::shared_ptr<const std::vector<int64_t>> row_of{};

    bool rearranged() const { return columns != 0 || row_of; }
  };
  std::map<std::string, View> views;
  /// The model's names, by those they get. A tensor may get several.
  std::map<std::string, std::string> renamed;
  std::map<std::string, std::string> left_out;  ///< why, by name: "tied", "dropped"
  /// The model that gives a tensor of this name in place of this one's, if it has one.
  std::map<std::string, std::shared_ptr<const TensorSource>> borrowed;
  std::set<std::string> copied;  ///< floating tensors that are not merged
  bool only_these = false;       ///< other tensors than views and renamed ones are not there

  bool empty() const {
    return views.empty() && renamed.empty() && left_out.empty() && borrowed.empty() &&
           copied.empty() && !only_these;
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

  // These look through views of views.
  /// What is changed about a tensor, in words; empty for nothing.
  std::string change(const std::string& name) const;
  /// The model that a tensor is read from: the adjusted one, or the owner of a borrowed tensor.
  const TensorSource& holder(const std::string& name) const;
  bool is_copied(const std::string& name) const;
  const TensorSource& adjusted() const { return *source_; }

  const std::map<std::string, std::string>& left_out() const { return adjustments_.left_out; }

 private:
  /// Where a tensor is: its first element there, and how many of the elements before `end` there
  /// are.
  struct Location {
    const TensorSource& source;
    const std::string& name;
    int64_t start, end;
  };
  Location locate(const std::string& name, int64_t end) const;
  at::Tensor rearranged_part(const Adjustments::View& view, int64_t first, int64_t count) const;
  /// The adjusted model, if that is a view itself.
  const AdjustedSource* inner() const { return dynamic_cast<const AdjustedSource*>(source_.get()); }
  at::Tensor mean_row(const std::string& name) const;

  std::shared_ptr<const TensorSource> source_;
  Adjustments adjustments_;
  std::vector<TensorInfo> infos_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> mean_rows_;  // by the name in the source
};

/// The model that a source views, or that it is itself.
const TensorSource& original(const TensorSource& source);

}  // namespace assay
