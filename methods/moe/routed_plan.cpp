#include "methods/moe/routed_plan.h"

#include <algorithm>
#include <array>

#include "harness/checkpoint/heads.h"
#include "harness/core/error.h"
#include "harness/method/routed_ensemble.h"

namespace assay {
namespace {

constexpr std::array<std::string_view, 3> kAttentions = {"self_attn", "attn", "attention"};
constexpr std::array<std::string_view, 2> kFeedForwards = {"mlp", "block_sparse_moe"};

template <size_t N>
bool in_module(const std::string& name, const std::array<std::string_view, N>& modules) {
  return std::any_of(modules.begin(), modules.end(), [&](std::string_view module) {
    return name.find(fmt::format(".{}.", module)) != std::string::npos;
  });
}

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
        "routed_ensemble looks at the embedding, and {} has none that is known by its name",
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

bool in_attention(const std::string& name) { return in_module(name, kAttentions); }
bool in_feed_forward(const std::string& name) { return in_module(name, kFeedForwards); }

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

void RoutedPlan::add_made(std::string name, const std::vector<size_t>& of, const TensorView& view) {
  add(std::move(name), of, view);
  tensors_.back().made = true;
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
        "routed_ensemble divides models into attention ('{}'), feed-forwards ('{}') and the rest, "
        "and {} has none of these names",
        fmt::join(kAttentions, "', '"), fmt::join(kFeedForwards, "', '"), like.label()));
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
  const TensorInfo& read = *vocabulary_tensors(source(reference())).embedding;
  const TensorInfo& first = *vocabulary_tensors(source(members_.front())).embedding;
  if (read.shape != first.shape)
    throw SkipCell(fmt::format(
        "routed_ensemble reads prompts by the embedding of {}, of shape {}, which is to have the "
        "shape of the first expert's, {}",
        source(reference()).label(), shape_text(read.shape), shape_text(first.shape)));
  add(routed_names::of_router(routed_names::kRouterEmbedding), {reference()},
      {.tensor = read.name});
}

// Planned as rows of an embedding, which have their shape; the values are the router's. Made of the
// first member, which gives their width, as often as there are members: these may differ.
void RoutedPlan::add_rows() {
  add_made(routed_names::of_router(routed_names::kRouterRows),
           std::vector<size_t>(members(), members_.front()),
           {.tensor = vocabulary_tensors(source(members_.front())).embedding->name,
            .rows = std::ssize(members_)});
}

void RoutedPlan::add_token_rows() {
  const TensorInfo& embedding = *vocabulary_tensors(source(members_.front())).embedding;
  const int64_t vocabulary = embedding.shape.front();
  const std::vector<size_t> of(members(), members_.front());
  add_made(routed_names::of_router(routed_names::kRouterIdf), of, {.tensor = embedding.name});
  tensors_.back().shape = {vocabulary};
  add_made(routed_names::of_router(routed_names::kRouterRows), of, {.tensor = embedding.name});
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
    add_made(routed_names::projector_in(i), {members_[i]},
             {.tensor = matrix.name, .rows = own_width, .columns = width});
    add_made(routed_names::projector_out(i), {members_[i]}, {.tensor = matrix.name, .rows = width});
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
