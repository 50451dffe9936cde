#include "harness/merge/merge.h"

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/merge/engine/group_job.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/engine/tensor_maker.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

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
std::vector<TensorInfo> layout(const MergeInputs& inputs, const GroupRef* maker,
                               const StateDict& made) {
  for (const auto& [name, unused] : made)
    if (!reference_source(inputs).find(name))
      data_error("{} returned a tensor '{}', which the models do not have",
                 maker->method.info().name, name);
  return result_layout(inputs);
}

/// `compatible`: check_compatible() has found nothing.
MergeReport merge_groups(const std::vector<GroupRef>& groups, const MergeInputs& inputs,
                         MergeSink& sink, bool compatible) {
  bool with_base = false;
  for (const GroupRef& group : groups) {
    const Needs needs = group.method.needs();
    const bool evidence = inputs.evidence != nullptr;
    if (const auto reason = unmet_need(needs, {.base = inputs.base != nullptr,
                                               .experts = inputs.experts.size(),
                                               .calibration_inputs = evidence,
                                               .calibration_labels = evidence,
                                               .gradients = evidence}))
      throw SkipCell(fmt::format("{} {}", group.method.info().name, *reason));
    with_base |= needs.base;
  }
  if (!compatible) check_compatible(inputs);
  const std::vector<std::string> order = merge_order(inputs);

  MergeReport report;
  Diagnostics diagnostics;
  ModelReader models(inputs, with_base, order);
  models.begin_caching(merged_names(inputs));
  std::vector<GroupJob> jobs;
  jobs.reserve(groups.size());
  {
    Meter meter(inputs.device);
    for (const GroupRef& group : groups) {
      const GroupJob& job =
          jobs.emplace_back(group.method.info(), group.names, models, diagnostics);
      in_method(
          group.method.info().name, [] { return " before it merged a tensor"; },
          [&] { group.method.prepare(job); });
    }
    report.statistics = meter.stop();
  }
  Meter meter(inputs.device);
  StateDict whole;
  const bool whole_model = groups.front().method.granularity() == Granularity::kModel;
  ASSAY_CHECK(!whole_model || groups.size() == 1, "whole-model methods make all tensors");
  if (whole_model)
    whole = in_method(
        groups.front().method.info().name, [] { return " in the whole model"; },
        [&] { return groups.front().method.merge_model(jobs.front()); });
  const std::vector<TensorInfo> infos =
      layout(inputs, whole_model ? &groups.front() : nullptr, whole);
  std::map<std::string, const TensorInfo*> info_of;
  for (const TensorInfo& info : infos) info_of[info.name] = &info;
  std::vector<std::string> made;
  for (const std::string& name : order)
    if (info_of.contains(name)) made.push_back(name);
  sink.begin(infos);
  TensorMaker maker(groups, inputs, models, std::move(whole), sink);
  models.for_each(
      made, [&](size_t i) { return maker.concurrent(*info_of.at(made[i])); },
      [&](size_t i) { maker.make(*info_of.at(made[i])); });
  maker.add_reports(diagnostics);
  report.merge = meter.stop();
  report.shared = models.cache().reused();
  for (const auto& [name, mean] : diagnostics.means()) report.diagnostics[name] = mean;
  if (inputs.hash) {
    report.expert_hashes = models.check().content_hashes();
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
  std::vector<GroupRef> refs;
  for (const MethodGroup& group : groups) refs.push_back({*group.method, group.tensors});
  return merge_groups(refs, inputs, sink, true);
}

MergeReport merge_models(Method& method, const MergeInputs& inputs, MergeSink& sink) {
  const std::vector<std::string> names =
      inputs.experts.empty() ? std::vector<std::string>{} : merged_names(inputs);
  return merge_groups({{method, names}}, inputs, sink, false);
}

MergeReport merge_models(const MethodConfiguration& configuration, const MergeInputs& inputs,
                         MergeSink& sink) {
  const std::vector<MethodGroup> groups = configuration.groups(merged_names(inputs), inputs.blocks);
  if (groups.size() == 1) return merge_models(*groups.front().method, inputs, sink);
  check_compatible(inputs);
  return merge_models(groups, inputs, sink);
}

StateDict merge_to_memory(Method& method, const MergeInputs& inputs, MergeReport* report) {
  MemorySink sink(inputs.device);
  MergeReport made = merge_models(method, inputs, sink);
  if (report) *report = std::move(made);
  return sink.tensors();
}

}  // namespace assay
