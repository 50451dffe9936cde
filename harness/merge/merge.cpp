#include "harness/merge/merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/cost/meter.h"
#include "harness/kernels/nonfinite.h"
#include "harness/merge/roles.h"

namespace assay {
namespace {

/// Reads tensors from checkpoints to the device, and refuses NaN and infinity as it meets them.
class CheckpointJob : public ModelJob {
 public:
  CheckpointJob(const MethodInfo& info, const MergeInputs& inputs, Diagnostics& diagnostics)
      : info_(info), inputs_(inputs), diagnostics_(diagnostics) {
    const TensorSource& reference = reference_source(inputs);
    for (const TensorInfo& tensor : reference.tensors())
      if (tensor_role(reference, tensor) == TensorRole::kMerged) names_.push_back(tensor.name);
  }

  size_t num_experts() const override { return inputs_.experts.size(); }
  const std::vector<std::string>& names() const override { return names_; }

  TensorJob tensor(const std::string& name) const override {
    TensorJob job;
    job.name = name;
    const bool checked = checked_.contains(name);
    if (info_.needs.base) job.base = load(*inputs_.base, name, checked);
    for (const auto& expert : inputs_.experts) job.experts.push_back(load(*expert, name, checked));
    checked_.insert(name);
    job.seed_key = Hasher()
                       .number(inputs_.seed)
                       .text(info_.name)
                       .number(static_cast<uint64_t>(info_.version))
                       .text(name)
                       .low64();
    job.diagnostics = &diagnostics_;
    return job;
  }

 private:
  at::Tensor load(const TensorSource& source, const std::string& name, bool checked) const {
    at::Tensor tensor = source.read(name).to(inputs_.device);
    if (checked) return tensor;
    if (const int64_t bad = count_nonfinite(tensor); bad > 0)
      data_error("{}: tensor '{}' holds {} NaN or infinite value{} among {}", source.label(), name,
                 bad, bad == 1 ? "" : "s", tensor.numel());
    return tensor;
  }

  const MethodInfo& info_;
  const MergeInputs& inputs_;
  Diagnostics& diagnostics_;
  std::vector<std::string> names_;
  mutable std::set<std::string> checked_;
};

/// The method's result in its final dtype. DataError when it is not what it must be.
at::Tensor finish(const at::Tensor& merged, const MethodInfo& method, const TensorInfo& info,
                  const MergeInputs& inputs) {
  if (!merged.defined() || (method.needs.output == Output::kSameArchitecture &&
                            merged.sizes() != at::IntArrayRef(info.shape)))
    data_error("{} returned {} for tensor '{}' of shape {}", method.name,
               merged.defined() ? "shape " + shape_text(merged.sizes()) : "nothing", info.name,
               shape_text(info.shape));
  at::Tensor out =
      merged.to(inputs.device, inputs.dtype.value_or(info.dtype), /*non_blocking=*/false)
          .contiguous();
  if (const int64_t bad = count_nonfinite(out); bad > 0)
    data_error("the merge by {} gave {} NaN or infinite value{} among {} in tensor '{}' ({})",
               method.name, bad, bad == 1 ? "" : "s", out.numel(), info.name,
               dtype_name(out.scalar_type()));
  return out;
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

}  // namespace

MergeReport merge_models(Method& method, const MergeInputs& inputs,
                         const std::function<void(const std::string&, at::Tensor)>& sink) {
  const MethodInfo& info = method.info();
  if (const auto reason = unmet_need(info, inputs.base != nullptr, inputs.experts.size()))
    throw SkipCell(fmt::format("{} {}", info.name, *reason));
  check_compatible(inputs);
  const TensorSource& reference = reference_source(inputs);
  const std::vector<std::string> order = merge_order(inputs);

  MergeReport report;
  Diagnostics diagnostics;
  const CheckpointJob job(info, inputs, diagnostics);
  {
    Meter meter(inputs.device);
    method.prepare(job);
    report.statistics = meter.stop();
  }
  Meter meter(inputs.device);
  StateDict whole;
  if (!method.streams()) whole = method.merge_model(job);
  for (const auto& [name, unused] : whole)
    if (!reference.find(name))
      data_error("{} returned a tensor '{}', which the models do not have", info.name, name);
  for (const std::string& name : order) {
    const TensorInfo& tensor = *reference.find(name);
    if (tensor_role(reference, tensor) == TensorRole::kCopied)
      sink(name, reference.read(name).to(inputs.device));
    else if (method.streams())
      sink(name, finish(method.merge(job.tensor(name)), info, tensor, inputs));
    else
      sink(name, finish(whole[name], info, tensor, inputs));
  }
  report.merge = meter.stop();
  for (const auto& [name, mean] : diagnostics.means()) report.diagnostics[name] = mean;
  return report;
}

StateDict merge_to_memory(Method& method, const MergeInputs& inputs, MergeReport* report) {
  StateDict merged;
  MergeReport made = merge_models(method, inputs, [&](const std::string& name, at::Tensor tensor) {
    merged[name] = std::move(tensor);
  });
  if (report) *report = std::move(made);
  return merged;
}

}  // namespace assay
