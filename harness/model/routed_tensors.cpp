/// The tensors of a routed ensemble, and which of them answer.
#include <algorithm>
#include <numeric>
#include <set>

#include "harness/model/hidden_mixture.h"
#include "harness/model/routed.h"

namespace assay {

std::vector<TensorInfo> RoutedArchitecture::tensors() const {
  std::vector<TensorInfo> all;
  const auto add = [&](std::vector<TensorInfo> infos, const std::string& prefix) {
    for (TensorInfo& info : infos) {
      info.name.insert(0, prefix);
      all.push_back(std::move(info));
    }
  };
  for (size_t i = 0; i < members_.size(); ++i)
    add(members_[i]->tensors(), routed_names::member_prefix(i));
  add(router_->tensors(first(), options_.members), std::string(routed_names::kRouter));
  const std::set<std::string> shared(options_.shared.begin(), options_.shared.end());
  for (TensorInfo& info : first().tensors())
    if (shared.contains(info.name)) all.push_back(std::move(info));
  if (options_.mix == MemberMix::kHidden) add(hidden_tensors(), "");
  std::sort(all.begin(), all.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return all;
}

std::vector<TensorInfo> RoutedArchitecture::hidden_tensors() const {
  std::vector<TensorInfo> all;
  TensorInfo widest = embedding_info(first());
  for (const auto& member : members_)
    widest.shape.back() = std::max(widest.shape.back(), embedding_info(*member).shape.back());
  const int64_t width = widest.shape.back();
  const auto add = [&](std::string name, std::vector<int64_t> shape) {
    TensorInfo info = widest;
    info.name = std::move(name);
    info.shape = std::move(shape);
    all.push_back(std::move(info));
  };
  add(routed_names::kEmbedding, widest.shape);
  add(routed_names::kHead, widest.shape);
  for (size_t i = 0; i < members_.size(); ++i) {
    const int64_t own = embedding_info(*members_[i]).shape.back();
    add(routed_names::projector_in(i), {own, width});
    add(routed_names::projector_out(i), {width, own});
  }
  return all;
}

StateDict RoutedArchitecture::initial_weights(uint64_t seed) const {
  constexpr double kDeviation = 0.02;
  return normal_weights(tensors(), kDeviation, 1, seed);
}

CheckpointNames RoutedArchitecture::checkpoint_names() const {
  CheckpointNames all;
  all.renamed_ends = first().checkpoint_names().renamed_ends;
  const auto add_names = [&](const std::string& prefix, const CheckpointNames& own) {
    const auto add = [&](const auto& pairs, auto& to) {
      for (const auto& [name, other] : pairs) to.emplace_back(prefix + name, prefix + other);
    };
    add(own.renamed, all.renamed);
    add(own.tied, all.tied);
    add(own.substituted, all.substituted);
    for (const std::string& ignored : own.ignored) all.ignored.push_back(prefix + ignored);
  };
  add_names("", first().checkpoint_names());
  add_names(routed_names::of_router(routed_names::kRouterBase), first().checkpoint_names());
  for (size_t i = 0; i < members_.size(); ++i)
    add_names(routed_names::member_prefix(i), members_[i]->checkpoint_names());
  return all;
}

std::vector<size_t> RoutedArchitecture::largest_members() const {
  std::vector<size_t> order(members_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto values = [&](size_t i) {
    int64_t sum = 0;
    for (const TensorInfo& info : members_[i]->tensors()) sum += info.numel();
    return sum;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values(a) > values(b); });
  order.resize(static_cast<size_t>(members()));
  return order;
}

std::vector<std::string> RoutedArchitecture::answering_tensors() const {
  const bool hidden = options_.mix == MemberMix::kHidden;
  std::vector<std::string> names = options_.shared;
  const std::set<std::string> shared(names.begin(), names.end());
  if (hidden) names = {routed_names::kEmbedding, routed_names::kHead};
  for (const size_t i : largest_members()) {
    std::set<std::string> unused = shared;
    if (hidden) {
      const VocabularyNames own = vocabulary_names(*members_[i]);
      unused.insert(own.embedding);
      if (own.head) unused.insert(*own.head);
      names.push_back(routed_names::projector_in(i));
      names.push_back(routed_names::projector_out(i));
    }
    for (const TensorInfo& info : members_[i]->tensors())
      if (!unused.contains(info.name)) names.push_back(routed_names::member_prefix(i) + info.name);
  }
  return names;
}

}  // namespace assay
