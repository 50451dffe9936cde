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

/// A job of its first experts, with its base or without.
class FirstModels final : public ModelJob {
 public:
  FirstModels(const ModelJob& job, size_t experts, bool with_base)
      : job_(job), experts_(experts), with_base_(with_base) {}
  size_t num_experts() const override { return experts_; }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override {
    const TensorParts all = job_.parts(name);
    return {TensorJob(name, std::make_shared<PassedHandle<TensorParts>>(all, /*last=*/false)),
            experts_,
            all.elements(),
            all.dtype(),
            all.memory(),
            [this, all](const TensorParts::Body& body) {
              all.for_each([&](const TensorJob& part) { body(first(part)); });
            }};
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override { return first(job_.tensor(name)); }
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  TensorJob first(const TensorJob& job) const {
    std::vector<at::Tensor> experts = job.experts;
    experts.resize(experts_);
    return inner_job(job, with_base_ ? job.base : at::Tensor(), std::move(experts));
  }

  const ModelJob& job_;
  const size_t experts_;
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
  if (!plan_ || plan_->config_of) return;  // of the latter the engine makes one section, too
  std::map<ModelsOf, std::set<std::string>> sections;
  for (const OutputTensor& tensor : plan_->tensors)
    if (!tensor.copied) sections[models_of(tensor)].insert(tensor.name);
  if (sections.size() <= 1 &&
      std::none_of(plan_->tensors.begin(), plan_->tensors.end(),
                   [](const OutputTensor& tensor) { return tensor.copied; }))
    return;

  for (auto& [wanted, names] : sections)
    sections_.push_back({std::move(names), wanted.second.size(), wanted.first && of.needs().base});
  size_t most = 0;
  bool with_base = false;
  for (OutputTensor& tensor : plan_->tensors) {
    if (tensor.is_zero()) {
      zeros_[tensor.name] = *tensor.shape;
    } else if (tensor.copied) {
      copied_.insert(tensor.name);
      if (tensor.base) tensor.experts.front() = *tensor.base;
    }
    if (tensor.copied) tensor.base.reset();
    tensor.copied = false;  // the engine would make a section of them
    most = std::max(most, tensor.experts.size());
    with_base |= tensor.base.has_value();
  }
  // Further views are read by nobody; each tensor's own have its shape.
  for (OutputTensor& tensor : plan_->tensors) {
    tensor.experts.resize(most, TensorView(tensor.experts.front()));
    if (with_base && !tensor.base) tensor.base = tensor.experts.front();
  }
  plan_->config_of = [config = plan_->config](const StateDict&) { return config; };
}

StateDict WholeResult::make(MethodComponent of, const ModelJob& job) const {
  if (sections_.empty()) return made_of(*of.operator->(), job);
  StateDict result;
  for (const Section& section : sections_) {
    const SomeTensors some(
        job, [&](const std::string& name) { return section.names.contains(name); },
        /*network=*/true);
    const FirstModels models(some, section.experts, section.with_base);
    result.merge(made_of(*of.operator->(), models));
  }
  for (const std::string& name : job.names()) {
    const auto zeros = zeros_.find(name);
    if (zeros == zeros_.end() && !copied_.contains(name)) continue;
    const at::Tensor first = job.tensor(name).experts.front();
    result[name] =
        zeros == zeros_.end() ? first : at::zeros(zeros->second, first.options().dtype(at::kFloat));
  }
  return result;
}

}  // namespace assay
