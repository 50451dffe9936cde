#include "harness/merge/merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/engine/reader.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

/// A method and the tensors it makes.
struct Share {
  Method& method;
  const std::vector<std::string>& names;
};

/// Takes what a method returns for one tensor and hands it on in the output dtype.
class TensorOutput {
 public:
  TensorOutput(const MethodInfo& method, const TensorInfo& info, MergeSink& sink)
      : method_(method), info_(info), sink_(sink) {}

  at::Tensor room(int64_t first, int64_t count) const { return sink_.room(info_, first, count); }
  /// Values for the elements of `room`, as many; `values` may be the room itself, of which
  /// `nonfinite` are known to be NaN or infinite.
  void put(int64_t first, at::Tensor room, const at::Tensor& values,
           std::optional<int64_t> nonfinite = {}) {
    const int64_t count = room.numel();
    if (!values.defined() || values.numel() != count)
      data_error("{} returned {} for {} elements of tensor '{}'", method_.name,
                 values.defined() ? fmt::format("{} values", values.numel()) : "nothing", count,
                 info_.name);
    const bool there = values.is_same(room);
    if (!there) convert_into(values.flatten(), room);
    bad_ += there && nonfinite ? *nonfinite : count_nonfinite(room);
    sink_.put(info_, first, room);
  }
  /// DataError when a value is not finite.
  void end(const Json& note) {
    if (bad_ > 0)
      data_error("the merge by {} gave {} NaN or infinite value{} among {} in tensor '{}' ({})",
                 method_.name, bad_, bad_ == 1 ? "" : "s", info_.numel(), info_.name,
                 dtype_name(info_.dtype));
    sink_.end(info_, note);
  }

 private:
  const MethodInfo& method_;
  const TensorInfo& info_;
  MergeSink& sink_;
  int64_t bad_ = 0;
};

/// What another process needs to know of a tensor that it takes up.
Json note_of(const std::string& name, const Models& models, const Diagnostics& diagnostics) {
  return {{"hashes", models.note(name)}, {"reports", diagnostics.note()}};
}

void put_whole(const at::Tensor& merged, const TensorInfo& info, const MethodInfo& method,
               const Models& models, const Diagnostics& diagnostics, MergeSink& sink) {
  if (!merged.defined() || merged.sizes() != at::IntArrayRef(info.shape))
    data_error("{} returned {} for tensor '{}' of shape {}", method.name,
               merged.defined() ? "shape " + shape_text(merged.sizes()) : "nothing", info.name,
               shape_text(info.shape));
  TensorOutput output(method, info, sink);
  const at::Tensor flat = merged.flatten();
  for (int64_t first = 0; first < flat.numel(); first += kPartElements) {
    const int64_t count = std::min(kPartElements, flat.numel() - first);
    output.put(first, output.room(first, count), flat.narrow(0, first, count));
  }
  output.end(note_of(info.name, models, diagnostics));
}

void copy_tensor(const TensorInfo& info, Models& models, MergeSink& sink) {
  for (int64_t first = 0; first < info.numel(); first += kPartElements) {
    const int64_t count = std::min(kPartElements, info.numel() - first);
    const at::Tensor room = sink.room(info, first, count);
    room.copy_(models.copied_part(info.name, first, count));
    sink.put(info, first, room);
  }
  sink.end(info, nullptr);
}

void merge_tensor(const Method& method, const GroupJob& job, const TensorInfo& info,
                  const Models& models, const Diagnostics& diagnostics, MergeSink& sink) {
  const std::string_view name = method.info().name;
  const auto where = [&] { return fmt::format(" in tensor '{}'", info.name); };
  if (method.granularity() == Granularity::kTensors) {
    const at::Tensor merged =
        in_method(name, where, [&] { return method.merge(job.tensor(info.name), {}); });
    return put_whole(merged, info, method.info(), models, diagnostics, sink);
  }
  const TensorParts tensor = job.parts(info.name);
  const std::any measured = in_method(name, where, [&] { return method.measure(tensor); });
  TensorOutput output(method.info(), info, sink);
  tensor.for_each([&](const TensorJob& part) {
    TensorJob job_with_room = part;
    job_with_room.room = output.room(part.offset, part.experts.front().numel());
    std::optional<int64_t> nonfinite;
    job_with_room.nonfinite = &nonfinite;
    const at::Tensor merged = method.merge(job_with_room, measured);
    output.put(part.offset, job_with_room.room, merged, nonfinite);
  });
  output.end(note_of(info.name, models, diagnostics));
}

std::vector<std::string> merge_order(const MergeInputs& inputs) {
  std::vector<std::string> names;
  for (const TensorInfo& info : reference_source(inputs).tensors()) names.push_back(info.name);
  if (inputs.order.empty()) return names;
  std::vector<std::string> sorted = inputs.order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != names) user_error("the order of tensors must name each tensor of the models once");
  return inputs.order;
}

/// What the result will hold: the reference's tensors in the output dtype. DataError when a method
/// that works on whole models made others.
std::vector<TensorInfo> layout(const MergeInputs& inputs, const Share* maker,
                               const StateDict& made) {
  for (const auto& [name, unused] : made)
    if (!reference_source(inputs).find(name))
      data_error("{} returned a tensor '{}', which the models do not have",
                 maker->method.info().name, name);
  return result_layout(inputs);
}

/// The tensors of one merge, one by one. Several threads may make tensors at once where a method
/// works by parts.
class TensorMaker {
 public:
  TensorMaker(const std::vector<Share>& shares, const MergeInputs& inputs, Models& models,
              StateDict whole, MergeSink& sink)
      : reference_(reference_source(inputs)),
        shares_(shares),
        models_(models),
        whole_(std::move(whole)),
        sink_(sink),
        whole_model_(shares.front().method.granularity() == Granularity::kModel) {
    for (const Share& share : shares)
      for (const std::string& name : share.names) maker_[name] = &share;
  }

  void make(const TensorInfo& info) {
    Diagnostics diagnostics;
    if (const Json* note = sink_.taken_up(info)) {
      if (note->is_null()) return;  // a copied tensor
      models_.recall(info.name, note->at("hashes"));
      diagnostics.recall(note->at("reports"));
    } else if (is_copied(info)) {
      copy_tensor(info, models_, sink_);
    } else if (whole_model_) {
      put_whole(whole_[info.name], info, shares_.front().method.info(), models_, diagnostics,
                sink_);
    } else {
      const Share& share = maker(info);
      const GroupJob job(share.method.info(), share.names, models_, diagnostics);
      merge_tensor(share.method, job, info, models_, diagnostics, sink_);
    }
    models_.let_go();
    const std::lock_guard lock(mutex_);
    reports_[info.name] = diagnostics.note();
  }
  /// Whether other threads may make other tensors at the same time.
  bool beside_others(const TensorInfo& info) const {
    if (whole_model_ || !models_.small(info.name)) return false;
    return is_copied(info) || maker(info).method.granularity() == Granularity::kParts;
  }
  /// What methods reported of the tensors, added up in an order that does not depend on threads.
  void add_reports(Diagnostics& diagnostics) const {
    for (const auto& [name, report] : reports_) diagnostics.recall(report);
  }

 private:
  bool is_copied(const TensorInfo& info) const {
    return tensor_role(reference_, *reference_.find(info.name)) == TensorRole::kCopied;
  }
  const Share& maker(const TensorInfo& info) const {
    const auto found = maker_.find(info.name);
    ASSAY_CHECK(found != maker_.end(), "no method makes '{}'", info.name);
    return *found->second;
  }

  const TensorSource& reference_;
  const std::vector<Share>& shares_;
  Models& models_;
  StateDict whole_;  ///< what a method that works on whole models returned
  MergeSink& sink_;
  bool whole_model_;
  std::map<std::string, const Share*> maker_;
  std::mutex mutex_;
  std::map<std::string, Json> reports_;
};

/// `fitting`: check_compatible() has found nothing.
MergeReport merge_shares(const std::vector<Share>& shares, const MergeInputs& inputs,
                         MergeSink& sink, bool fitting) {
  bool with_base = false;
  for (const Share& share : shares) {
    const MethodInfo& info = share.method.info();
    if (const auto reason = unmet_need(info, inputs.base != nullptr, inputs.experts.size()))
      throw SkipCell(fmt::format("{} {}", info.name, *reason));
    with_base |= info.needs.base;
  }
  if (!fitting) check_compatible(inputs);
  const std::vector<std::string> order = merge_order(inputs);

  MergeReport report;
  Diagnostics diagnostics;
  Models models(inputs, with_base, order);
  models.begin_sharing(merged_names(inputs));
  std::vector<GroupJob> jobs;
  jobs.reserve(shares.size());
  {
    Meter meter(inputs.device);
    for (const Share& share : shares) {
      const GroupJob& job =
          jobs.emplace_back(share.method.info(), share.names, models, diagnostics);
      in_method(
          share.method.info().name, [] { return " before it merged a tensor"; },
          [&] { share.method.prepare(job); });
    }
    report.statistics = meter.stop();
  }
  Meter meter(inputs.device);
  StateDict whole;
  const bool whole_model = shares.front().method.granularity() == Granularity::kModel;
  ASSAY_CHECK(!whole_model || shares.size() == 1, "whole-model methods make all tensors");
  if (whole_model)
    whole = in_method(
        shares.front().method.info().name, [] { return " in the whole model"; },
        [&] { return shares.front().method.merge_model(jobs.front()); });
  const std::vector<TensorInfo> infos =
      layout(inputs, whole_model ? &shares.front() : nullptr, whole);
  std::map<std::string, const TensorInfo*> info_of;
  for (const TensorInfo& info : infos) info_of[info.name] = &info;
  std::vector<std::string> made;
  for (const std::string& name : order)
    if (info_of.contains(name)) made.push_back(name);
  sink.begin(infos);
  TensorMaker maker(shares, inputs, models, std::move(whole), sink);
  models.for_each(
      made, [&](size_t place) { return maker.beside_others(*info_of.at(made[place])); },
      [&](size_t place) { maker.make(*info_of.at(made[place])); });
  maker.add_reports(diagnostics);
  report.merge = meter.stop();
  report.shared = models.sharing().reused();
  for (const auto& [name, mean] : diagnostics.means()) report.diagnostics[name] = mean;
  if (inputs.hash) {
    report.expert_hashes = models.content_hashes();
    if (with_base) {
      report.base_hash = report.expert_hashes.front();
      report.expert_hashes.erase(report.expert_hashes.begin());
    }
  }
  return report;
}

}  // namespace

MergeReport merge_models(const std::vector<MethodGroup>& groups, const MergeInputs& inputs,
                         MergeSink& sink) {
  std::vector<Share> shares;
  for (const MethodGroup& group : groups) shares.push_back({*group.method, group.tensors});
  return merge_shares(shares, inputs, sink, true);
}

MergeReport merge_models(Method& method, const MergeInputs& inputs, MergeSink& sink) {
  const std::vector<std::string> names =
      inputs.experts.empty() ? std::vector<std::string>{} : merged_names(inputs);
  return merge_shares({{method, names}}, inputs, sink, false);
}

StateDict merge_to_memory(Method& method, const MergeInputs& inputs, MergeReport* report) {
  MemorySink sink(inputs.device);
  MergeReport made = merge_models(method, inputs, sink);
  if (report) *report = std::move(made);
  return sink.tensors();
}

}  // namespace assay
