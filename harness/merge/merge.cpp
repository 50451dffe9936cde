#include "harness/merge/merge.h"

#include <algorithm>
#include <map>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/merge/engine/group_job.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/engine/open_tensors.h"
#include "harness/merge/engine/tensor_maker.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

std::vector<std::string> merge_order(const MergeInputs& inputs,
                                     const std::vector<TensorInfo>& layout) {
  std::vector<std::string> names;
  for (const TensorInfo& info : layout) names.push_back(info.name);
  if (inputs.order.empty()) return names;
  std::vector<std::string> sorted = inputs.order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != names) user_error("the order of tensors must name each tensor of the models once");
  return inputs.order;
}

/// UserError when there is no such task model.
void check_task_expert(const MergeSection& section) {
  const std::optional<size_t> expert = section.inputs.task_expert;
  if (!expert || section.groups.empty()) return;
  if (std::none_of(section.groups.begin(), section.groups.end(),
                   [](const GroupRef& group) { return group.method.has_task_outputs(); }))
    user_error("{} makes one model for all tasks, none for an expert's alone",
               section.groups.front().method.info().name);
  if (*expert >= section.inputs.experts.size())
    user_error(
        "the model for the tasks of expert {} is asked for: the merge has the experts 0 to {}",
        *expert, section.inputs.experts.size() - 1);
}

/// Whether the method itself decides which models each tensor is made of, in plan().
bool plans(const Method& method) {
  const Output output = method.needs().output;
  return output == Output::kReshaped || output == Output::kWider ||
         output == Output::kMixtureOfExperts || output == Output::kEnsemble;
}

/// A method that plans needs what it does of the whole merge; others of each section.
void check_needs(const MergeSection& section, const MergeInputs& whole) {
  const bool evidence = whole.evidence != nullptr && whole.evidence->has_data();
  for (const GroupRef& group : section.groups) {
    const MergeInputs& inputs = plans(group.method) ? whole : section.inputs;
    if (const auto reason =
            unmet_need(group.method.needs(), {.base = inputs.base != nullptr,
                                              .experts = inputs.experts.size(),
                                              .calibration_inputs = evidence,
                                              .calibration_labels = evidence,
                                              .gradients = evidence,
                                              .architecture = whole.evidence != nullptr}))
      throw SkipCell(fmt::format("{} {}", group.method.info().name, *reason));
  }
  check_task_expert(section);
}

std::optional<int64_t> task_bytes(const MergeSection& section) {
  std::optional<int64_t> bytes;
  for (const GroupRef& group : section.groups) {
    if (!group.method.has_task_outputs()) continue;
    std::vector<TensorInfo> infos;
    for (const std::string& name : group.names)
      infos.push_back(*reference_source(section.inputs).find(name));
    bytes = bytes.value_or(0) + group.method.task_bytes(infos);
  }
  return bytes;
}

/// The sections of one merge, one after the other, into one sink.
class Merging {
 public:
  /// check_compatible() has found nothing about any section.
  Merging(const std::vector<MergeSection>& sections, const MergeInputs& inputs, MergeSink& sink,
          const OutputPlan* plan)
      : sections_(sections),
        layout_(result_layout(sections)),
        order_(merge_order(inputs, layout_)),
        sink_(sink),
        plan_(plan) {}

  MergeReport run() {
    for (const MergeSection& section : sections_) run(section);
    for (const auto& [name, mean] : diagnostics_.means()) report_.diagnostics[name] = mean;
    return std::move(report_);
  }

 private:
  void run(const MergeSection& section) {
    const MergeInputs& inputs = section.inputs;
    const bool with_base =
        inputs.base && std::any_of(section.groups.begin(), section.groups.end(),
                                   [](const GroupRef& group) { return group.method.needs().base; });
    const bool first = &section == &sections_.front();
    std::vector<std::string> names = names_of(section);
    ModelReader models(inputs, with_base, names);
    models.begin_caching(merged_names(inputs));
    add(report_.statistics, prepare(section, models), first);

    Meter meter(inputs.device);
    StateDict whole = merge_whole(section, models);
    if (first) begin(whole);
    std::erase_if(names, [&](const std::string& name) { return !info_of_.contains(name); });
    TensorMaker maker(section.groups, inputs, models, std::move(whole), sink_);
    models.for_each(
        names, [&](size_t i) { return maker.concurrent(*info_of_.at(names[i])); },
        [&](size_t i) { maker.make(*info_of_.at(names[i])); });
    maker.add_reports(diagnostics_);
    add(report_.merge, meter.stop(), first);
    if (const auto& reused = models.cache().reused()) {
      if (report_.shared)
        *report_.shared += *reused;
      else
        report_.shared = reused;
    }
    if (const auto bytes = task_bytes(section))
      report_.task_bytes = report_.task_bytes.value_or(0) + *bytes;
    if (inputs.hash) take_hashes(models, with_base);
  }

  /// `made`: by a whole-model method, which may have left open what the result's layout is.
  void begin(const StateDict& made) {
    if (plan_) report_.config = plan_->config;
    if (plan_ && plan_->config_of) {
      ASSAY_CHECK(sections_.size() == 1, "open tensors are of one section");
      layout_ = settled_layout(layout_, *plan_, made);
      report_.config = plan_->config_of(made);
    }
    for (const TensorInfo& info : layout_) info_of_[info.name] = &info;
    sink_.begin(layout_);
  }

  std::vector<std::string> names_of(const MergeSection& section) const {
    if (sections_.size() == 1) return order_;
    const TensorSource& reference = reference_source(section.inputs);
    std::vector<std::string> names;
    for (const std::string& name : order_)
      if (reference.find(name)) names.push_back(name);
    return names;
  }

  Cost prepare(const MergeSection& section, ModelReader& models) {
    Meter meter(section.inputs.device);
    for (const GroupRef& group : section.groups) {
      const GroupJob job(group.method.info(), group.names, models, diagnostics_);
      in_method(
          group.method.info().name, [] { return " before it merged a tensor"; },
          [&] { group.method.prepare(job); });
    }
    return meter.stop();
  }

  /// What a method that works on whole models makes; empty with other methods.
  StateDict merge_whole(const MergeSection& section, ModelReader& models) {
    if (section.groups.empty()) return {};
    const GroupRef& group = section.groups.front();
    if (group.method.granularity() != Granularity::kModel) return {};
    ASSAY_CHECK(section.groups.size() == 1, "whole-model methods make all tensors");
    const GroupJob job(group.method.info(), group.names, models, diagnostics_);
    const std::string_view name = group.method.info().name;
    StateDict made = in_method(
        name, [] { return " in the whole model"; }, [&] { return group.method.merge_model(job); });
    for (const auto& [tensor, unused] : made)
      if (!reference_source(section.inputs).find(tensor))
        data_error("{} returned a tensor '{}', which the models do not have", name, tensor);
    return made;
  }

  static void add(Cost& sum, const Cost& cost, bool first) {
    if (first)
      sum = cost;
    else
      sum += cost;
  }

  void take_hashes(const ModelReader& models, bool with_base) {
    report_.expert_hashes = models.check().content_hashes();
    if (!with_base) return;
    report_.base_hash = report_.expert_hashes.front();
    report_.expert_hashes.erase(report_.expert_hashes.begin());
  }

  const std::vector<MergeSection>& sections_;
  std::vector<TensorInfo> layout_;
  std::vector<std::string> order_;
  MergeSink& sink_;
  const OutputPlan* plan_;
  std::map<std::string, const TensorInfo*> info_of_;  ///< of the result, from begin() on
  MergeReport report_;
  Diagnostics diagnostics_;
};

MergeReport merge(const std::vector<MergeSection>& sections, const MergeInputs& inputs,
                  MergeSink& sink, const OutputPlan* plan) {
  MergeReport report = Merging(sections, inputs, sink, plan).run();
  if (!plan || !inputs.hash) return report;
  // Tensors may have been read in part, several times or not at all.
  report.base_hash.reset();
  if (inputs.base) report.base_hash = assay::original(*inputs.base).content_hash();
  report.expert_hashes.clear();
  for (const auto& expert : inputs.experts)
    report.expert_hashes.emplace_back(assay::original(*expert).content_hash());
  return report;
}

}  // namespace

MergeReport merge_models(const std::vector<MethodGroup>& groups, const MergeInputs& inputs,
                         MergeSink& sink, const OutputPlan* plan) {
  const std::vector<MergeSection> sections = merge_sections(groups, inputs, plan);
  for (const MergeSection& section : sections) check_needs(section, inputs);
  return merge(sections, inputs, sink, plan);
}

MergeReport merge_models(Method& method, const MergeInputs& inputs, MergeSink& sink) {
  check_needs({inputs, {{method, {}}}}, inputs);
  const std::optional<OutputPlan> plan = plan_of(method, inputs);
  const OutputPlan* planned = plan ? &*plan : nullptr;
  std::vector<MergeSection> sections = merge_sections({}, inputs, planned);
  for (MergeSection& section : sections) {
    check_compatible(section.inputs);
    std::vector<std::string> names = merged_names(section.inputs);
    if (plan && names.empty()) continue;  // all are copied
    section.groups.push_back({method, std::move(names)});
    check_needs(section, inputs);
  }
  return merge(sections, inputs, sink, planned);
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
