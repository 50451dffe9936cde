#include "methods/moe/routed_plan.h"

#include <algorithm>

#include "harness/checkpoint/heads.h"
#include "harness/core/error.h"
#include "harness/method/routed_ensemble.h"
#include "methods/moe/mixture_plan.h"

namespace assay {
namespace {

/// A member's tensors that have a row per token: [vocabulary, width].
struct VocabularyTensors {
  const TensorInfo* embedding;
  const TensorInfo* head;  ///< the embedding where it is tied to it
};

VocabularyTensors vocabulary_tensors(const TensorSource& model) {
  const auto& infos = model.tensors();
  const auto head = std::find_if(infos.begin(), infos.end(),
                                 [](const TensorInfo& info) { return is_head(info.name); });
  const TensorInfo* embedding = Embeddings(model).of("lm_head.weight");
  if (!embedding)
    throw SkipCell(fmt::format(
        "routed_ensemble mixes hidden states between embedding and head, and {} has no embedding "
        "that is known by its name",
        model.label()));
  return {embedding, head == infos.end() ? embedding : &*head};
}

/// The matrix of so many columns that has the most rows.
const TensorInfo& tallest(const TensorSource& model, int64_t columns) {
  const TensorInfo* found = nullptr;
  for (const TensorInfo& info : model.tensors())
    if (info.shape.size() == 2 && info.shape.back() == columns &&
        (!found || info.shape.front() > found->shape.front()))
      found = &info;
  ASSAY_CHECK(found, "{} has an embedding of {} columns", model.label(), columns);
  return *found;
}

}  // namespace

RoutedPlan::RoutedPlan(const PlanInputs& models, std::vector<size_t> members)
    : models_(models), members_(std::move(members)) {}

const TensorSource& RoutedPlan::source(size_t model) const {
  return model == TensorView::kBase ? *models_.base : *models_.experts.at(model);
}

void RoutedPlan::add(std::string name, const std::vector<size_t>& of, const TensorView& view) {
  OutputTensor& tensor = tensors_.emplace_back();
  tensor.name = std::move(name);
  for (const size_t model : of) {
    tensor.experts.push_back(view);
    tensor.experts.back().model = model;
  }
}

void RoutedPlan::add_members() {
  for (size_t i = 0; i < members_.size(); ++i)
    for (const TensorInfo& tensor : source(members_[i]).tensors())
      add(routed_names::member_prefix(i) + tensor.name, {members_[i]}, {.tensor = tensor.name});
}

std::vector<std::string> RoutedPlan::add_shared(
    const std::function<bool(const std::string&)>& keeps) {
  const TensorSource& like = source(reference());
  std::vector<std::string> names;
  for (const TensorInfo& tensor : like.tensors())
    if (!keeps(tensor.name)) names.push_back(tensor.name);
  if (names.size() == like.tensors().size())
    throw SkipCell(fmt::format(
        "routed_ensemble divides models of Llama's names ('self_attn.', 'mlp.'), and {} has none",
        like.label()));
  for (const std::string& name : names) {
    add(name, members_, {.tensor = name});
    if (models_.base) tensors_.back().base = TensorView{.model = TensorView::kBase, .tensor = name};
  }
  return names;
}

void RoutedPlan::add_base() {
  for (const TensorInfo& tensor : models_.base->tensors())
    add(routed_names::of_router(routed_names::kRouterBase + tensor.name), {TensorView::kBase},
        {.tensor = tensor.name});
}

// Of the base, or of the first expert without one.
size_t RoutedPlan::reference() const { return models_.base ? TensorView::kBase : 0; }

void RoutedPlan::add_router_embedding() {
  add(routed_names::of_router(routed_names::kRouterEmbedding), {reference()},
      {.tensor = embedding_of(source(reference())).name});
}

// Planned as rows of an embedding, which have their shape; the values are the router's. Made of one
// model as often as there are members, which may differ in their tensors.
void RoutedPlan::add_rows() {
  add(routed_names::of_router(routed_names::kRouterRows),
      std::vector<size_t>(members(), reference()),
      {.tensor = embedding_of(source(reference())).name, .rows = std::ssize(members_)});
}

void RoutedPlan::add_token_rows() {
  const TensorInfo& embedding = embedding_of(source(reference()));
  const int64_t vocabulary = embedding.shape.front();
  const std::vector<size_t> of(members(), reference());
  add(routed_names::of_router(routed_names::kRouterIdf), of, {.tensor = embedding.name});
  tensors_.back().shape = {vocabulary};
  add(routed_names::of_router(routed_names::kRouterRows), of, {.tensor = embedding.name});
  tensors_.back().shape = {std::ssize(members_), vocabulary};
}

void RoutedPlan::add_hidden() {
  std::vector<VocabularyTensors> own;
  int64_t width = 0;
  for (const size_t member : members_) {
    own.push_back(vocabulary_tensors(source(member)));
    width = std::max(width, own.back().embedding->shape.back());
    const int64_t wanted = own.front().embedding->shape.front();
    if (const int64_t found = own.back().embedding->shape.front(); found != wanted)
      throw SkipCell(fmt::format(
          "routed_ensemble merges the embeddings of its members, and the vocabularies of {} and {} "
          "have {} and {} tokens",
          source(members_.front()).label(), source(member).label(), wanted, found));
  }
  const auto add_padded = [&](const char* name, const TensorInfo* VocabularyTensors::*of) {
    OutputTensor& tensor = tensors_.emplace_back();
    tensor.name = name;
    for (size_t i = 0; i < members_.size(); ++i)
      tensor.experts.push_back(
          {.model = members_[i], .tensor = (own[i].*of)->name, .columns = width});
  };
  add_padded(routed_names::kEmbedding, &VocabularyTensors::embedding);
  add_padded(routed_names::kHead, &VocabularyTensors::head);
  // Projectors are planned as rows of a matrix, which have their shape, as a router's rows are.
  for (size_t i = 0; i < members_.size(); ++i) {
    const int64_t own_width = own[i].embedding->shape.back();
    const TensorInfo& matrix = tallest(source(members_[i]), own_width);
    if (matrix.shape.front() < width)
      throw SkipCell(fmt::format(
          "routed_ensemble projects the {} values of {} to {}, which takes a matrix of as many "
          "rows, and its tallest, '{}', has {}",
          own_width, source(members_[i]).label(), width, matrix.name, matrix.shape.front()));
    add(routed_names::projector_in(i), {members_[i]},
        {.tensor = matrix.name, .rows = own_width, .columns = width});
    add(routed_names::projector_out(i), {members_[i]}, {.tensor = matrix.name, .rows = width});
  }
}

Json RoutedPlan::member_config() const {
  if (models_.expert_configs.empty()) return models_.config;
  Json all = Json::array();
  for (const size_t member : members_)
    all.push_back(member == TensorView::kBase ? models_.config : models_.expert_configs.at(member));
  return all;
}

}  // namespace assay
