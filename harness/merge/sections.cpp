#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/core/error.h"
#include "harness/merge/merge.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

using Source = std::shared_ptr<const TensorSource>;
using Tensors = std::vector<const OutputTensor*>;

const Source& model_of(const MergeInputs& inputs, const OutputTensor& tensor,
                       const TensorView& view) {
  if (view.model == TensorView::kBase) {
    if (!inputs.base)
      data_error("'{}' of the result is planned from a base, and there is none", tensor.name);
    return inputs.base;
  }
  ASSAY_CHECK(view.model < inputs.experts.size(), "'{}' is of expert {} of {}", tensor.name,
              view.model, inputs.experts.size());
  return inputs.experts[view.model];
}

/// Adds the view to those of its model, under the output's name.
void add_view(const TensorSource& model, const OutputTensor& tensor, const TensorView& view,
              Adjustments& adjustments) {
  const TensorInfo* info = model.find(view.tensor);
  if (!info)
    data_error("'{}' of the result is planned from '{}', which {} does not have", tensor.name,
               view.tensor, model.label());
  if (view.columns != 0 && (info->shape.size() != 2 || info->shape.back() > view.columns))
    data_error("'{}' of the result is planned from '{}' of shape {} with zeros up to {} columns",
               tensor.name, view.tensor, shape_text(info->shape), view.columns);
  if (view.first == 0 && view.rows == TensorView::kAll && view.columns == 0) {
    adjustments.renamed[tensor.name] = view.tensor;
  } else {
    const int64_t all = info->shape.empty() ? 0 : info->shape.front();
    const int64_t rows = view.rows == TensorView::kAll ? all - view.first : view.rows;
    if (view.first < 0 || rows < 1 || view.first > all - rows)
      data_error(
          "'{}' of the result is planned from {} rows of '{}' from row {} on, of which {} "
          "has {}",
          tensor.name, rows, view.tensor, view.first, model.label(), all);
    adjustments.views[tensor.name] = {view.tensor, rows, view.first, view.columns};
  }
  if (tensor.copied) adjustments.copied.insert(tensor.name);
}

/// The models of a tensor: the base's place, then the experts'. Of zeros, none.
std::vector<size_t> models_of(const OutputTensor& tensor) {
  if (tensor.is_zero()) return {};
  constexpr size_t kNone = TensorView::kBase - 1;
  std::vector<size_t> models{tensor.base ? tensor.base->model : kNone};
  for (const TensorView& view : tensor.experts) models.push_back(view.model);
  return models;
}

/// The tensors of equal models, in the order of the plan. Of a plan whose config is of what was
/// made (OutputPlan::config_of) all are one section, whatever models each is made of.
std::vector<Tensors> by_models(const OutputPlan& plan) {
  if (plan.tensors.empty()) data_error("the result is planned without a tensor");
  std::map<std::vector<size_t>, size_t> places;
  std::vector<Tensors> out;
  std::set<std::string> names;
  for (const OutputTensor& tensor : plan.tensors) {
    if (!names.insert(tensor.name).second)
      data_error("'{}' of the result is planned twice", tensor.name);
    ASSAY_CHECK(!tensor.experts.empty(), "'{}' is made of nothing", tensor.name);
    const auto [place, is_new] =
        places.emplace(plan.config_of ? std::vector<size_t>() : models_of(tensor), out.size());
    if (is_new) out.emplace_back();
    out[place->second].push_back(&tensor);
  }
  return out;
}

/// Zeros, as a model of which they are copied.
Source zeros(const MergeInputs& all, const Tensors& tensors) {
  StateDict values;
  Adjustments adjustments;
  for (const OutputTensor* tensor : tensors) {
    const TensorView& view = tensor->experts.front();
    const TensorInfo* info = model_of(all, *tensor, view)->find(view.tensor);
    if (!info) data_error("'{}' of the result is planned from no tensor", tensor->name);
    values[tensor->name] = at::zeros(*tensor->shape, all.dtype.value_or(info->dtype));
    adjustments.copied.insert(tensor->name);
  }
  return std::make_shared<AdjustedSource>(
      std::make_shared<MemorySource>("the plan", std::move(values)), std::move(adjustments));
}

MergeInputs section_inputs(const MergeInputs& all, const Tensors& tensors) {
  MergeInputs inputs = all;
  inputs.order.clear();
  inputs.hash = false;  // of what is read: the models are hashed whole
  if (tensors.front()->is_zero()) {
    inputs.base = nullptr;
    inputs.experts = {zeros(all, tensors)};
    return inputs;
  }
  const auto viewed = [&](const auto& view_of) -> Source {
    std::map<size_t, std::pair<Source, Adjustments>> models;  // several of a plan of one section
    for (const OutputTensor* tensor : tensors) {
      const TensorView& view = view_of(*tensor);
      auto& [model, adjustments] = models[view.model];
      model = model_of(all, *tensor, view);
      adjustments.only_these = true;
      add_view(*model, *tensor, view, adjustments);
    }
    Source first;
    Adjustments others;
    for (auto& [unused, of_model] : models) {
      const auto part =
          std::make_shared<AdjustedSource>(of_model.first, std::move(of_model.second));
      for (const TensorInfo& info : part->tensors())
        if (first) others.borrowed[info.name] = part;
      if (!first) first = part;
    }
    if (others.empty()) return first;
    return std::make_shared<AdjustedSource>(first, std::move(others));
  };
  const bool with_base = tensors.front()->base.has_value();
  for (const OutputTensor* tensor : tensors)
    ASSAY_CHECK(tensor->base.has_value() == with_base &&
                    tensor->experts.size() == tensors.front()->experts.size(),
                "'{}' is made of other roles than the rest", tensor->name);
  inputs.base =
      with_base ? viewed([](const OutputTensor& tensor) { return *tensor.base; }) : nullptr;
  inputs.experts.clear();
  for (size_t i = 0; i < tensors.front()->experts.size(); ++i)
    inputs.experts.push_back(viewed([i](const OutputTensor& tensor) { return tensor.experts[i]; }));
  for (const OutputTensor* tensor : tensors)
    if (tensor->shape) inputs.shapes[tensor->name] = *tensor->shape;
  return inputs;
}

}  // namespace

std::optional<OutputPlan> plan_of(const Method& method, const MergeInputs& inputs) {
  PlanInputs models{inputs.base.get(), {}, inputs.config, inputs.expert_configs, inputs.evidence};
  for (const auto& expert : inputs.experts) models.experts.push_back(expert.get());
  return method.plan(models);
}

std::vector<MergeSection> merge_sections(const std::vector<MethodGroup>& groups,
                                         const MergeInputs& inputs, const OutputPlan* plan) {
  std::vector<MergeSection> sections;
  if (!plan) {
    MergeSection& all = sections.emplace_back(MergeSection{inputs, {}});
    for (const MethodGroup& group : groups) all.groups.push_back({*group.method, group.tensors});
    return sections;
  }
  for (const Tensors& tensors : by_models(*plan)) {
    MergeSection section{section_inputs(inputs, tensors), {}};
    for (const MethodGroup& group : groups) {
      std::vector<std::string> names;
      for (const std::string& name : group.tensors)
        if (reference_source(section.inputs).find(name)) names.push_back(name);
      if (!names.empty()) section.groups.push_back({*group.method, std::move(names)});
    }
    sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace assay
