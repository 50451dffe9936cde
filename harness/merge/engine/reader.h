/// Reads tensors of models for methods: whole or by parts, on the device, in the dtype asked for.
/// For the files of this folder.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "harness/core/hash.h"
#include "harness/merge/engine/read_ahead.h"
#include "harness/merge/merge.h"

namespace assay {

/// The models of a merge, as they are read. The first complete pass over a tensor looks for NaN and
/// infinity, which are refused by model and tensor, and hashes its bytes if asked to. Several
/// threads may read at once, each its own tensor.
class Models {
 public:
  /// `order`: the tensors in the order in which they will be merged.
  Models(const MergeInputs& inputs, bool with_base, const std::vector<std::string>& order);

  /// With MergeInputs::shared: looks for NaN and infinity now, in the models where no merge has,
  /// and makes room for the parts that merges share, so that no later merge has to.
  void begin_sharing(const std::vector<std::string>& names);
  /// For the methods of this merge.
  Sharing& sharing() { return sharing_; }

  size_t num_experts() const { return inputs_.experts.size(); }
  const MergeInputs& inputs() const { return inputs_; }

  /// Whether each thread may work on its own: the models' tensors of this name take so little of
  /// the memory that each may hold some, or where that is not bounded, of the models that threads
  /// end together. Never on an accelerator.
  bool small(const std::string& name) const;
  /// Calls `work` with the places of tensors in `names`, of those that are `together` side by side.
  /// Where memory is not bounded these come last, so that threads wait for one another once.
  void for_each(const std::vector<std::string>& names,
                const std::function<bool(size_t place)>& together,
                const std::function<void(size_t place)>& work) const;
  /// One pass: elements [offset, offset + n) of every model, for all offsets in order.
  void for_each_part(const std::string& name, const TensorJob& head, const TensorParts::Body& body);
  /// This thread needs no more of the tensor that it read last.
  void let_go();
  /// See TensorParts::glance().
  TensorJob glance(const std::string& name, TensorJob head, int64_t offset, int64_t count) const;
  /// Every model's whole tensor.
  TensorJob whole(const std::string& name, TensorJob head);
  /// A tensor that is copied, of the model that gives it.
  at::Tensor copied_part(const std::string& name, int64_t first, int64_t count);

  /// Hashes of a tensor's bytes in every model that was read, as a JSON list; null without.
  Json note(const std::string& name) const;
  /// Takes over what note() gave in an earlier process.
  void recall(const std::string& name, const Json& note);
  /// content_hash() of the base, if it was read, and the experts, where all tensors were read.
  std::vector<std::optional<std::string>> content_hashes() const;

 private:
  /// Whether the tensor's memory stays from one pass over it to the next.
  bool stays_mapped(const std::string& name) const;
  /// This thread reads this tensor from now on: the memory of the one before is let go. Whether it
  /// is another.
  bool hold(const std::string& name);
  at::Tensor to_device(const at::Tensor& tensor) const;
  void set(TensorJob& job, const std::vector<at::Tensor>& tensors) const;
  bool inspected(const std::string& name) const;
  void inspect(const std::string& name, const std::vector<at::Tensor>& parts,
               std::vector<std::unique_ptr<Hasher>>& hashers) const;
  std::vector<std::unique_ptr<Hasher>> hashers() const;
  void finish_first_pass(const std::string& name,
                         const std::vector<std::unique_ptr<Hasher>>& hashers);

  const MergeInputs& inputs_;
  std::vector<std::shared_ptr<const TensorSource>> read_;  ///< the base if it is read, then experts
  bool with_base_;
  int64_t all_bytes_ = 0;     ///< of the models
  mutable std::mutex mutex_;  ///< for what is below, up to the empty line
  /// Per thread, the tensor whose memory stays from one pass over it to the next.
  std::map<std::thread::id, std::string> held_;
  std::set<std::string> inspected_;
  std::vector<std::map<std::string, std::string>> byte_hashes_;  ///< per model that was read

  Sharing sharing_;
  std::unique_ptr<ReadAhead> ahead_;
};

/// The tensors of one method's group.
class GroupJob : public ModelJob {
 public:
  GroupJob(const MethodInfo& info, const std::vector<std::string>& names, Models& models,
           Diagnostics& diagnostics)
      : info_(info), names_(names), models_(models), diagnostics_(diagnostics) {}
  size_t num_experts() const override { return models_.num_experts(); }
  const std::vector<std::string>& names() const override { return names_; }
  void for_each(const std::function<void(size_t place)>& body) const override;
  TensorParts parts(const std::string& name) const override;
  TensorJob tensor(const std::string& name) const override;

 private:
  TensorJob head(const std::string& name) const;

  const MethodInfo& info_;
  const std::vector<std::string>& names_;
  Models& models_;
  Diagnostics& diagnostics_;
};

}  // namespace assay
