#include "methods/whole_result.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "harness/method/passed_handle.h"
#include "harness/method/some_tensors.h"
#include "methods/inner_merge.h"

namespace assay {
namespace {

using ModelsOf = std::pair<bool, std::vector<size_t>>;  ///< whether of a base; the experts

ModelsOf models_of(const OutputTensor& tensor) {
  ModelsOf models{tensor.base.has_value(), {}};
  for (const TensorView& view : tensor.experts) models.second.push_back(view.model);
  return models;
}

/// The models that any tensor is made of, each once.
std::vector<size_t> all_models(const OutputPlan& plan, std::string_view method) {
  std::set<size_t> all;
  for (const OutputTensor& tensor : plan.tensors) {
    const std::vector<size_t> models = models_of(tensor).second;
    const std::set<size_t> own(models.begin(), models.end());
    if (own.size() < models.size())
      throw SkipCell(fmt::format(
          "{} makes '{}' of one model several times, and other tensors of other models: such a "
          "result is not trained",
          method, tensor.name));
    all.insert(own.begin(), own.end());
  }
  return {all.begin(), all.end()};
}

/// The view of this model, which the method may not look at: then the tensor of that name.
TensorView view_of(const OutputTensor& tensor, size_t model, const PlanInputs& models) {
  for (const TensorView& view : tensor.experts)
    if (view.model == model) return view;
  TensorView view = tensor.experts.front();
  const auto source_of = [&](size_t index) {
    return index == TensorView::kBase ? models.base : models.experts.at(index);
  };
  const TensorInfo* like = source_of(view.model)->find(view.tensor);
  const TensorInfo* found = source_of(model)->find(view.tensor);
  if (like && (!found || found->shape != like->shape))
    throw SkipCell(fmt::format(
        "'{}' of the result is made of '{}', which {} does not have in that shape: results of "
        "models of one shape are trained",
        tensor.name, view.tensor, source_of(model)->label()));
  view.model = model;
  return view;
}

/// A job of some of its experts, with its base or without.
class PickedModels final : public ModelJob {
 public:
  PickedModels(const ModelJob& job, const std::vector<size_t>& places, bool with_base)
      : job_(job), places_(places), with_base_(with_base) {}
  size_t num_experts() const override { return places_.size(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override {
    const TensorParts all = job_.parts(name);
    return {TensorJob(name, std::make_shared<PassedHandle<TensorParts>>(all, /*last=*/false)),
            places_.size(),
            all.elements(),
            all.dtype(),
            all.memory(),
            [this, all](const TensorParts::Body& body) {
              all.for_each([&](const TensorJob& part) { body(picked(part)); });
            }};
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override { return picked(job_.tensor(name)); }
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  TensorJob picked(const TensorJob& job) const {
    std::vector<at::Tensor> experts;
    for (const size_t place : places_) experts.push_back(job.experts.at(place));
    return inner_job(job, with_base_ ? job.base : at::Tensor(), std::move(experts));
  }

  const ModelJob& job_;
  const std::vector<size_t>& places_;
  const bool with_base_;
};

/// What the method makes of all tensors of a job.
StateDict made_of(Method& of, const ModelJob& job) {
  of.prepare(job);
  if (of.granularity() == Granularity::kModel) return of.merge_model(job);
  StateDict made;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    made[name] = merge_inner(of, tensor, tensor.base, tensor.experts);
  }
  return made;
}

}  // namespace

WholeResult::WholeResult(const Method& of, const PlanInputs& models) {
  plan_ = of.plan(models);
  if (!plan_) return;
  std::map<ModelsOf, std::set<std::string>> sections;
  for (const OutputTensor& tensor : plan_->tensors)
    if (!tensor.copied) sections[models_of(tensor)].insert(tensor.name);
  if (sections.size() <= 1 &&
      std::none_of(plan_->tensors.begin(), plan_->tensors.end(),
                   [](const OutputTensor& tensor) { return tensor.copied; }))
    return;

  const std::vector<size_t> all = all_models(*plan_, of.info().name);
  const auto made_of_models = [&](const ModelsOf& wanted) {
    Section section{{}, {}, wanted.first};
    for (const size_t model : wanted.second)
      section.places.push_back(
          static_cast<size_t>(std::find(all.begin(), all.end(), model) - all.begin()));
    return section;
  };
  for (auto& [wanted, names] : sections) {
    sections_.push_back(made_of_models(wanted));
    sections_.back().names = std::move(names);
    sections_.back().with_base &= of.needs().base;
  }
  for (OutputTensor& tensor : plan_->tensors) {
    if (tensor.is_zero())
      zeros_[tensor.name] = *tensor.shape;
    else if (tensor.copied)
      copied_[tensor.name] = made_of_models(models_of(tensor));
    tensor.copied = false;  // the engine would make a section of them
    std::vector<TensorView> views;
    for (const size_t model : all) views.push_back(view_of(tensor, model, models));
    if (models.base && !tensor.base) tensor.base = view_of(tensor, TensorView::kBase, models);
    tensor.experts = std::move(views);
  }
}

StateDict WholeResult::make(MethodComponent of, const ModelJob& job) const {
  if (sections_.empty()) return made_of(*of.operator->(), job);
  StateDict result;
  for (const Section& section : sections_) {
    const SomeTensors some(
        job, [&](const std::string& name) { return section.names.contains(name); },
        /*network=*/true);
    const PickedModels models(some, section.places, section.with_base);
    result.merge(made_of(*of.operator->(), models));
  }
  for (const std::string& name : job.names()) {
    const auto zeros = zeros_.find(name);
    const auto copied = copied_.find(name);
    if (zeros == zeros_.end() && copied == copied_.end()) continue;
    const TensorJob tensor = job.tensor(name);
    if (zeros != zeros_.end())
      result[name] = at::zeros(zeros->second, tensor.experts.front().options().dtype(at::kFloat));
    else
      result[name] =
          copied->second.with_base ? tensor.base : tensor.experts.at(copied->second.places.front());
  }
  return result;
}

}  // namespace assay
