/// Makes the tensors of a merge's result.
#pragma once

#include <any>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/merge/engine/group_job.h"
#include "harness/merge/merge.h"

namespace assay {

/// The tensors of one section, one by one. Several threads may make a tensor each where
/// concurrent() says so.
class TensorMaker {
 public:
  /// `whole`: what a method that works on whole models returned, else empty.
  TensorMaker(const std::vector<GroupRef>& groups, const MergeInputs& inputs, ModelReader& models,
              StateDict whole, MergeSink& sink);

  /// Merges the tensor into the sink, copies it, or restores the record of a resumed one.
  /// DataError, naming the method and tensor, when the result does not fit or is not finite.
  void make(const TensorInfo& info);
  /// Whether other threads may make other tensors at the same time.
  bool concurrent(const TensorInfo& info) const;
  /// What methods reported of the tensors, in an order that does not depend on threads.
  void add_reports(Diagnostics& diagnostics) const;

 private:
  bool is_copied(const TensorInfo& info) const;
  const GroupRef& group_of(const TensorInfo& info) const;
  /// What the method makes of a part or tensor, for the tasks that the merge is for.
  at::Tensor merged(const Method& method, const TensorJob& job, const std::any& measured) const;
  void copy(const TensorInfo& info);
  void merge(const TensorInfo& info, Diagnostics& diagnostics);
  void put_whole(const at::Tensor& merged, const TensorInfo& info, const MethodInfo& method,
                 const Diagnostics& diagnostics);
  /// What another process needs of the tensor when it resumes the merge.
  Json record_of(const std::string& name, const Diagnostics& diagnostics) const;

  const TensorSource& reference_;
  ModelReader& models_;
  std::optional<size_t> task_expert_;  ///< MergeInputs::task_expert
  StateDict whole_;
  MergeSink& sink_;
  const GroupRef* whole_model_;  ///< the group of a method that works on whole models; else null
  std::map<std::string, const GroupRef*> groups_;  ///< by tensor
  std::mutex mutex_;
  std::map<std::string, Json> reports_;
};

}  // namespace assay
