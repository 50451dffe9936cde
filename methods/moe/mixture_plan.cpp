#include "methods/moe/mixture_plan.h"

#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

class Planner {
 public:
  Planner(const PlanInputs& models, const MixtureShape& shape)
      : models_(models),
        shape_(shape),
        reference_(models.base ? *models.base : *models.experts.front()),
        embedding_(embedding_of(reference_)),
        rows_(static_cast<int64_t>(shape.routed.size()) * shape.rows_per_expert) {
    if (embedding_.shape.front() < rows_)
      throw SkipCell(fmt::format("moe takes no more experts than a model has tokens: {} of {}",
                                 rows_, embedding_.shape.front()));
    plan_.config = mixture_config(shape.form, models.config, static_cast<size_t>(rows_),
                                  shape.top_k, shape.shared.has_value());
    if (shape.rows_per_expert == 1) return;
    if (shape.form.type == "deepseek")
      throw SkipCell("a mixture of the form deepseek has one row of a router for each expert");
    plan_.config["stored_experts"] = shape.routed.size();
    for (const TensorInfo& tensor : reference_.tensors())
      if (tensor.shape.size() == 1 && tensor.shape.front() >= rows_) norm_ = tensor.name;
    if (norm_.empty())
      throw SkipCell(
          fmt::format("moe finds no norm with an entry for each of the {} rows of a gate", rows_));
  }

  OutputPlan plan() {
    std::set<std::string> blocks;
    for (const TensorInfo& tensor : reference_.tensors()) {
      if (const auto part = feed_forward_part(tensor.name)) {
        add_experts(*part, tensor);
        if (blocks.insert(part->block).second) add_gates(part->block);
      } else {
        add(tensor.name, shape_.rest, {.tensor = tensor.name}, shape_.rest_with_base);
        if (shape_.form.type == "qwen2_moe") add_bias(tensor);
      }
    }
    if (blocks.empty())
      throw SkipCell(fmt::format(
          "moe makes mixtures of models with Llama's names, and {} has no 'mlp.gate_proj.weight'",
          reference_.label()));
    return std::move(plan_);
  }

 private:
  void add(std::string name, const std::vector<size_t>& of, const TensorView& view,
           bool with_base) {
    OutputTensor& tensor = plan_.tensors.emplace_back();
    tensor.name = std::move(name);
    for (const size_t model : of) {
      tensor.experts.push_back(view);
      tensor.experts.back().model = model;
    }
    if (!with_base) return;
    tensor.base = view;
    tensor.base->model = TensorView::kBase;
  }

  /// Values of the router's, for which the view gives shape and dtype.
  void add_made(std::string name, const TensorView& view) {
    add(std::move(name), shape_.rest, view, shape_.rest_with_base);
    plan_.tensors.back().made = true;
  }

  /// Zeros in the dtype of a tensor of the models.
  void add_zeros(std::string name, const std::string& like, std::vector<int64_t> shape) {
    add(std::move(name), {shape_.rest.front()}, {.tensor = like}, false);
    plan_.tensors.back().copied = true;
    plan_.tensors.back().shape = std::move(shape);
  }

  void add_experts(const FeedForwardPart& part, const TensorInfo& tensor) {
    const auto add_own = [&](std::string name, size_t model) {
      need_shape(model, tensor);
      add(std::move(name), {model}, {.tensor = tensor.name}, false);
    };
    for (size_t i = 0; i < shape_.routed.size(); ++i)
      add_own(expert_name(shape_.form, part, i), shape_.routed[i]);
    if (shape_.shared) add_own(shared_name(shape_.form, part), *shape_.shared);
  }

  /// Of models whose feed-forwards alone are used nothing else has compared them.
  void need_shape(size_t model, const TensorInfo& wanted) const {
    const TensorSource& source =
        model == TensorView::kBase ? *models_.base : *models_.experts.at(model);
    const TensorInfo* found = source.find(wanted.name);
    if (!found)
      data_error("{}: tensor '{}' is missing; {} has it", source.label(), wanted.name,
                 reference_.label());
    if (found->shape != wanted.shape)
      data_error("{}: tensor '{}' has shape {}, but {} in {}", source.label(), wanted.name,
                 shape_text(found->shape), shape_text(wanted.shape), reference_.label());
  }

  void add_gates(const std::string& block) {
    const std::string router = gate_name(shape_.form, block);
    add_made(router, {.tensor = embedding_.name, .rows = rows_});
    if (!norm_.empty()) add_made(slots_name(router), {.tensor = norm_, .rows = rows_});
    if (!shape_.form.needs_shared) return;
    const std::string gate = shared_gate_name(shape_.form, block);
    if (shape_.shared_gate_is_zero)
      add_zeros(gate, embedding_.name, {1, embedding_.shape.back()});
    else
      add_made(gate, {.tensor = embedding_.name, .rows = 1});
  }

  /// The bias that Qwen 2 has next to a weight, where the models have none.
  void add_bias(const TensorInfo& weight) {
    for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
      const std::string end = fmt::format(".self_attn.{}.weight", part);
      if (!weight.name.ends_with(end)) continue;
      std::string bias =
          weight.name.substr(0, weight.name.size() - std::string_view("weight").size());
      bias += "bias";
      if (!reference_.find(bias)) add_zeros(bias, weight.name, {weight.shape.front()});
    }
  }

  const PlanInputs& models_;
  const MixtureShape& shape_;
  const TensorSource& reference_;
  const TensorInfo& embedding_;
  const int64_t rows_;  ///< of a gate
  std::string norm_;    ///< of whose entries maps are planned; empty: there are none
  OutputPlan plan_{};
};

}  // namespace

const TensorInfo& embedding_of(const TensorSource& model) {
  for (const char* name : {"model.embed_tokens.weight", "embed_tokens.weight"})
    if (const TensorInfo* found = model.find(name)) return *found;
  throw SkipCell(fmt::format(
      "moe makes mixtures of models with Llama's names, and {} has no 'model.embed_tokens.weight'",
      model.label()));
}

OutputPlan mixture_plan(const PlanInputs& models, const MixtureShape& shape) {
  return Planner(models, shape).plan();
}

}  // namespace assay
