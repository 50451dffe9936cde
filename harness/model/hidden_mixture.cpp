#include "harness/model/hidden_mixture.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/checkpoint/heads.h"
#include "harness/core/error.h"
#include "harness/model/internal/member_caches.h"

namespace assay {
namespace {

class HiddenMixture final : public LanguageArchitecture {
 public:
  HiddenMixture(std::vector<HiddenMember> members, at::Tensor embedding, at::Tensor head)
      : members_(std::move(members)), embedding_(std::move(embedding)), head_(std::move(head)) {
    for (const HiddenMember& member : members_) {
      tables_.push_back(vocabulary_names(*member.model.architecture).embedding);
      layers_.push_back(member.model.architecture->blocks().size());
    }
  }

  Json config() const override {
    Json configs = Json::array();
    for (const HiddenMember& member : members_)
      configs.push_back(member.model.architecture->config());
    return {{"model_type", "hidden_mixture"}, {"members", std::move(configs)}};
  }
  std::vector<TensorInfo> tensors() const override { return {}; }
  StateDict initial_weights(uint64_t) const override { return {}; }
  int64_t vocabulary() const override { return embedding_.size(0); }
  int64_t max_positions() const override {
    int64_t shortest = members_.front().model.architecture->max_positions();
    for (const HiddenMember& member : members_)
      shortest = std::min(shortest, member.model.architecture->max_positions());
    return shortest;
  }
  bool can_extend(int64_t from, int64_t to) const override {
    return std::all_of(members_.begin(), members_.end(), [&](const HiddenMember& member) {
      return member.model.architecture->can_extend(from, to);
    });
  }
  int64_t members() const override { return static_cast<int64_t>(members_.size()); }

  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    const at::Tensor ids = batch.ids.to(embedding_.device());
    if (ids.numel() > 0 &&
        (ids.min().item<int64_t>() < 0 || ids.max().item<int64_t>() >= vocabulary()))
      user_error("a token id lies outside of the vocabulary, which has {} tokens", vocabulary());
    // A body embeds what it is given by a table of its own: that of the tokens which occur here,
    // projected to its width, of which the ids are places.
    const auto [tokens, places] = at::_unique(ids, /*sorted=*/true, /*return_inverse=*/true);
    const at::Tensor rows = embedding_.index_select(0, tokens);
    TokenBatch own = batch;
    own.ids = places;
    at::Tensor sum;
    const auto run = [&](size_t i, KvCache* layers) {
      const HiddenMember& member = members_[i];
      StateDict weights = member.model.weights;
      weights[tables_[i]] = at::matmul(rows, member.in.t());
      const at::Tensor states = member.model.architecture->hidden(weights, own, layers);
      const at::Tensor term = at::matmul(states, member.out.t()) * member.share;
      sum = sum.defined() ? sum + term : term;
    };
    with_member_caches(cache, layers_, run);
    return sum;
  }
  at::Tensor vocabulary_logits(const StateDict&, const at::Tensor& hidden) const override {
    return at::matmul(hidden, head_.t());
  }

 private:
  std::vector<HiddenMember> members_;
  at::Tensor embedding_, head_;
  std::vector<std::string> tables_;  ///< the name of each body's embedding
  std::vector<size_t> layers_;       ///< of each body, in a KV cache
};

}  // namespace

VocabularyNames vocabulary_names(const LanguageArchitecture& architecture) {
  VocabularyNames names;
  for (const TensorInfo& info : architecture.tensors()) {
    if (info.shape.size() != 2 || info.shape.front() != architecture.vocabulary()) continue;
    if (is_embedding(info.name)) names.embedding = info.name;
    if (is_head(info.name)) names.head = info.name;
  }
  if (names.embedding.empty())
    user_error("the embedding of a '{}' is not known by its name",
               architecture.config().at("model_type").get<std::string>());
  return names;
}

std::shared_ptr<const LanguageArchitecture> hidden_mixture(std::vector<HiddenMember> members,
                                                           at::Tensor embedding, at::Tensor head) {
  ASSAY_CHECK(!members.empty(), "a mixture without members");
  return std::make_shared<HiddenMixture>(std::move(members), std::move(embedding), std::move(head));
}

}  // namespace assay
