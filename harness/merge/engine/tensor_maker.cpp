#include "harness/merge/engine/tensor_maker.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

/// Takes what a method returns for one tensor and hands it on in the output dtype.
class TensorOutput {
 public:
  TensorOutput(const MethodInfo& method, const TensorInfo& info, MergeSink& sink)
      : method_(method), info_(info), sink_(sink) {}

  at::Tensor buffer(int64_t first, int64_t count) const {
    return sink_.buffer(info_, first, count);
  }
  /// Values for the elements of `buffer`, as many; `values` may be the buffer itself, of which
  /// `nonfinite` are known to be NaN or infinite.
  void put(int64_t first, at::Tensor buffer, const at::Tensor& values,
           std::optional<int64_t> nonfinite = {}) {
    const int64_t count = buffer.numel();
    if (!values.defined() || values.numel() != count)
      data_error("{} returned {} for {} elements of tensor '{}'", method_.name,
                 values.defined() ? fmt::format("{} values", values.numel()) : "nothing", count,
                 info_.name);
    const bool in_place = values.is_same(buffer);
    if (!in_place) convert_into(values.flatten(), buffer);
    bad_ += in_place && nonfinite ? *nonfinite : count_nonfinite(buffer);
    sink_.put(info_, first, buffer);
  }
  /// DataError when a value is not finite.
  void end(const Json& record) {
    if (bad_ > 0)
      data_error("the merge by {} gave {} NaN or infinite value{} among {} in tensor '{}' ({})",
                 method_.name, bad_, bad_ == 1 ? "" : "s", info_.numel(), info_.name,
                 dtype_name(info_.dtype));
    sink_.end(info_, record);
  }

 private:
  const MethodInfo& method_;
  const TensorInfo& info_;
  MergeSink& sink_;
  int64_t bad_ = 0;
};

}  // namespace

TensorMaker::TensorMaker(const std::vector<GroupRef>& groups, const MergeInputs& inputs,
                         ModelReader& models, StateDict whole, MergeSink& sink)
    : reference_(reference_source(inputs)),
      models_(models),
      task_expert_(inputs.task_expert),
      whole_(std::move(whole)),
      sink_(sink),
      whole_model_(!groups.empty() && groups.front().method.granularity() == Granularity::kModel
                       ? &groups.front()
                       : nullptr) {
  for (const GroupRef& group : groups)
    for (const std::string& name : group.names) groups_[name] = &group;
}

void TensorMaker::make(const TensorInfo& info) {
  Diagnostics diagnostics;
  if (const Json* record = sink_.resumed(info)) {
    if (record->is_null()) return;  // a copied tensor
    models_.check().restore(info.name, record->at("hashes"));
    diagnostics.add(record->at("reports"));
  } else if (is_copied(info)) {
    copy(info);
  } else if (whole_model_) {
    put_whole(whole_[info.name], info, whole_model_->method.info(), diagnostics);
  } else {
    merge(info, diagnostics);
  }
  models_.release();
  const std::lock_guard lock(mutex_);
  reports_[info.name] = diagnostics.to_json();
}

bool TensorMaker::concurrent(const TensorInfo& info) const {
  if (whole_model_) return false;
  const bool whole =
      !is_copied(info) && group_of(info).method.granularity() == Granularity::kTensors;
  return models_.small(info.name, whole);
}

void TensorMaker::add_reports(Diagnostics& diagnostics) const {
  for (const auto& [name, report] : reports_) diagnostics.add(report);
}

bool TensorMaker::is_copied(const TensorInfo& info) const {
  return tensor_role(reference_, *reference_.find(info.name)) == TensorRole::kCopied;
}

const GroupRef& TensorMaker::group_of(const TensorInfo& info) const {
  const auto found = groups_.find(info.name);
  ASSAY_CHECK(found != groups_.end(), "no method makes '{}'", info.name);
  return *found->second;
}

at::Tensor TensorMaker::merged(const Method& method, const TensorJob& job,
                               const std::any& measured) const {
  if (task_expert_ && method.has_task_outputs())
    return method.merge_for(job, measured, *task_expert_);
  return method.merge(job, measured);
}

void TensorMaker::copy(const TensorInfo& info) {
  for (int64_t first = 0; first < info.numel(); first += kPartElements) {
    const int64_t count = std::min(kPartElements, info.numel() - first);
    const at::Tensor buffer = sink_.buffer(info, first, count);
    buffer.copy_(models_.copied_part(info.name, first, count));
    sink_.put(info, first, buffer);
  }
  sink_.end(info, nullptr);
}

void TensorMaker::merge(const TensorInfo& info, Diagnostics& diagnostics) {
  const GroupRef& group = group_of(info);
  const Method& method = group.method;
  const GroupJob job(method.info(), group.names, models_, diagnostics);
  const std::string_view by = method.info().name;
  const auto where = [&] { return fmt::format(" in tensor '{}'", info.name); };
  if (method.granularity() == Granularity::kTensors) {
    const at::Tensor whole =
        in_method(by, where, [&] { return merged(method, job.tensor(info.name), {}); });
    return put_whole(whole, info, method.info(), diagnostics);
  }
  if (reference_.find(info.name)->shape != info.shape)
    data_error("{} works by parts, and plans '{}' in another shape than its models'", by,
               info.name);
  const auto handle = job.handle(info.name);
  const TensorParts tensor = job.parts(handle);
  const std::any measured = in_method(by, where, [&] { return method.measure(tensor); });
  TensorOutput output(method.info(), info, sink_);
  tensor.for_each([&](const TensorJob& part) {
    const at::Tensor buffer = output.buffer(part.offset, part.experts.front().numel());
    handle->begin_part(buffer);
    const at::Tensor values = merged(method, part, measured);
    output.put(part.offset, buffer, values, handle->end_part());
  });
  output.end(record_of(info.name, diagnostics));
}

void TensorMaker::put_whole(const at::Tensor& merged, const TensorInfo& info,
                            const MethodInfo& method, const Diagnostics& diagnostics) {
  if (!merged.defined() || merged.sizes() != at::IntArrayRef(info.shape))
    data_error("{} returned {} for tensor '{}' of shape {}", method.name,
               merged.defined() ? "shape " + shape_text(merged.sizes()) : "nothing", info.name,
               shape_text(info.shape));
  TensorOutput output(method, info, sink_);
  const at::Tensor flat = merged.flatten();
  for (int64_t first = 0; first < flat.numel(); first += kPartElements) {
    const int64_t count = std::min(kPartElements, flat.numel() - first);
    output.put(first, output.buffer(first, count), flat.narrow(0, first, count));
  }
  output.end(record_of(info.name, diagnostics));
}

Json TensorMaker::record_of(const std::string& name, const Diagnostics& diagnostics) const {
  return {{"hashes", models_.check().hashes(name)}, {"reports", diagnostics.to_json()}};
}

}  // namespace assay
