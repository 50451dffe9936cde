#include "harness/model/ensemble.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/member_caches.h"

namespace assay {
namespace {

/// A member's sizes within the concatenated states and layers.
struct MemberSizes {
  int64_t width;         ///< of the hidden states
  size_t layers;         ///< of a KV cache
  at::ScalarType dtype;  ///< of its computation
  int64_t encoded = 0;   ///< width of the encoder's hidden states
};

/// A member's slice of the concatenated states. Concatenation promotes to the widest dtype, which
/// represents each member's values exactly.
at::Tensor member_states(const at::Tensor& states, int64_t first, int64_t width,
                         at::ScalarType dtype) {
  return states.narrow(-1, first, width).to(dtype);
}

void append(std::vector<KvCache::Layer>& all, const std::vector<KvCache::Layer>& part) {
  all.insert(all.end(), part.begin(), part.end());
}

MemberSizes sizes_of(const LanguageModel& member) {
  const c10::NoGradGuard no_gradients;
  KvCache cache;
  const at::Tensor hidden =
      member.architecture->hidden(member.weights, {at::zeros({1, 1}, at::kLong)}, &cache);
  return {hidden.size(-1), cache.layers.size(), hidden.scalar_type()};
}

MemberSizes sizes_of(const SequenceToSequenceModel& member) {
  const c10::NoGradGuard no_gradients;
  EncoderDecoderCache cache;
  const at::Tensor id = at::zeros({1, 1}, at::kLong);
  const EncodedText text = member.architecture->encode(member.weights, id, {});
  const at::Tensor hidden = member.architecture->decode(member.weights, id, text, &cache);
  return {hidden.size(-1), cache.self_attention.layers.size(), hidden.scalar_type(),
          text.states.size(-1)};
}

/// Common to ensembles of decoders and of encoder-decoders.
template <typename Kind>
class Ensemble : public Kind {
 public:
  /// `shares`: empty where all members have the same.
  Ensemble(std::vector<TextModel<Kind>> members, EnsembleRule rule, std::vector<double> shares = {})
      : members_(std::move(members)), shares_(std::move(shares)), rule_(rule) {
    for (const TextModel<Kind>& member : members_) sizes_.push_back(sizes_of(member));
  }

  Json config() const override {
    Json configs = Json::array();
    for (const TextModel<Kind>& member : members_) {
      Json config = member.architecture->config();
      if (!member.weights.empty())
        config["torch_dtype"] = dtype_name(member.weights.begin()->second.scalar_type());
      configs.push_back(std::move(config));
    }
    return {{"model_type", "ensemble"}, {"members", std::move(configs)}};
  }
  std::vector<TensorInfo> tensors() const override { return {}; }
  StateDict initial_weights(uint64_t) const override { return {}; }
  int64_t vocabulary() const override { return members_.front().architecture->vocabulary(); }
  int64_t members() const override { return static_cast<int64_t>(members_.size()); }

  at::Tensor vocabulary_logits(const StateDict&, const at::Tensor& hidden) const override {
    const bool of_logits = rule_ == EnsembleRule::kLogits;
    at::Tensor sum;  // of the log-probabilities, or log of the sum of the probabilities
    int64_t first = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      const TextModel<Kind>& member = members_[i];
      const at::Tensor logits = member.architecture->vocabulary_logits(
          member.weights, member_states(hidden, first, sizes_[i].width, sizes_[i].dtype));
      at::Tensor own = at::log_softmax(logits, -1, at::kFloat);
      if (!shares_.empty()) own = of_logits ? own * shares_[i] : own + std::log(shares_[i]);
      if (!sum.defined())
        sum = own;
      else
        sum = of_logits ? sum + own : at::logaddexp(sum, own);
      first += sizes_[i].width;
    }
    if (!shares_.empty()) return sum;
    const auto members = static_cast<double>(members_.size());
    return of_logits ? sum / members : sum - std::log(members);
  }

 protected:
  std::vector<TextModel<Kind>> members_;
  std::vector<MemberSizes> sizes_;
  std::vector<double> shares_;
  EnsembleRule rule_;
};

class DecoderEnsemble final : public Ensemble<LanguageArchitecture> {
 public:
  using Ensemble::Ensemble;

  int64_t max_positions() const override {
    int64_t shortest = members_.front().architecture->max_positions();
    for (const LanguageModel& member : members_)
      shortest = std::min(shortest, member.architecture->max_positions());
    return shortest;
  }
  bool can_extend(int64_t from, int64_t to) const override {
    return std::all_of(members_.begin(), members_.end(), [&](const LanguageModel& member) {
      return member.architecture->can_extend(from, to);
    });
  }
  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    std::vector<size_t> layers;
    for (const MemberSizes& sizes : sizes_) layers.push_back(sizes.layers);
    std::vector<at::Tensor> states;
    const auto run = [&](size_t i, KvCache* own) {
      states.push_back(members_[i].architecture->hidden(members_[i].weights, batch, own));
    };
    with_member_caches(cache, layers, run);
    return at::cat(states, -1);
  }
};

class EncoderDecoderEnsemble final : public Ensemble<SequenceToSequenceArchitecture> {
 public:
  using Ensemble::Ensemble;

  TokenId start_id() const override { return members_.front().architecture->start_id(); }
  std::optional<int64_t> max_positions() const override {
    std::optional<int64_t> shortest;
    for (const SequenceToSequenceModel& member : members_)
      if (const auto own = member.architecture->max_positions())
        shortest = std::min(*own, shortest.value_or(*own));
    return shortest;
  }
  EncodedText encode(const StateDict&, const at::Tensor& ids,
                     const at::Tensor& mask) const override {
    std::vector<at::Tensor> states;
    for (const SequenceToSequenceModel& member : members_)
      states.push_back(member.architecture->encode(member.weights, ids, mask).states);
    return {at::cat(states, -1), mask};
  }
  at::Tensor decode(const StateDict&, const at::Tensor& ids, const EncodedText& text,
                    EncoderDecoderCache* cache) const override {
    std::vector<at::Tensor> states;
    EncoderDecoderCache grown;
    size_t layer = 0;
    int64_t encoded = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      const MemberSizes& sizes = sizes_[i];
      EncoderDecoderCache own;
      if (cache)
        own = {{layer_range(cache->self_attention.layers, layer, sizes.layers),
                cache->self_attention.positions},
               layer_range(cache->cross_attention, layer, sizes.layers)};
      states.push_back(members_[i].architecture->decode(
          members_[i].weights, ids,
          {member_states(text.states, encoded, sizes.encoded, sizes.dtype), text.mask},
          cache ? &own : nullptr));
      append(grown.self_attention.layers, own.self_attention.layers);
      append(grown.cross_attention, own.cross_attention);
      grown.self_attention.positions = own.self_attention.positions;
      layer += sizes.layers;
      encoded += sizes.encoded;
    }
    if (cache) *cache = std::move(grown);
    return at::cat(states, -1);
  }
};

// Why the two cannot form an ensemble; empty when they can.
template <typename Kind>
std::string conflict(const TextModel<Kind>& first, const TextModel<Kind>& other) {
  if (first.tokenizer->hash() != other.tokenizer->hash())
    return "its members have different tokenizers";
  const int64_t vocabulary = first.architecture->vocabulary(),
                other_vocabulary = other.architecture->vocabulary();
  if (vocabulary != other_vocabulary)
    return fmt::format("its members' vocabularies have {} and {} tokens", vocabulary,
                       other_vocabulary);
  if constexpr (std::is_same_v<Kind, SequenceToSequenceArchitecture>)
    if (first.architecture->start_id() != other.architecture->start_id())
      return "its members' decoders start with different tokens";
  return {};
}

template <typename Joined, typename Kind>
TextModel<Kind> join(const TextModel<Kind>& first, const std::vector<AnyLanguageModel>& members,
                     std::string weights_hash, EnsembleRule rule) {
  std::vector<TextModel<Kind>> same_kind;
  for (const AnyLanguageModel& member : members) {
    const auto* other = std::get_if<TextModel<Kind>>(&member);
    const std::string reason =
        other ? conflict(first, *other)
              : "its members are of different kinds, as decoders and encoder-decoders are";
    if (!reason.empty()) throw SkipCell(fmt::format("no output ensemble: {}", reason));
    same_kind.push_back(*other);
  }
  return {std::make_shared<Joined>(std::move(same_kind), rule),
          {},
          first.device,
          first.tokenizer,
          std::move(weights_hash)};
}

}  // namespace

AnyLanguageModel ensemble_of(const std::vector<AnyLanguageModel>& members, std::string weights_hash,
                             EnsembleRule rule) {
  ASSAY_CHECK(!members.empty(), "an ensemble without members");
  if (rule == EnsembleRule::kVotes)
    throw SkipCell(
        "no majority vote: language models score texts token by token, and no class is voted for");
  if (const auto* decoder = std::get_if<LanguageModel>(&members.front()))
    return join<DecoderEnsemble>(*decoder, members, std::move(weights_hash), rule);
  if (std::holds_alternative<RoutedModel>(members.front()))
    throw SkipCell("no output ensemble: its members are routed ensembles themselves");
  return join<EncoderDecoderEnsemble>(std::get<SequenceToSequenceModel>(members.front()), members,
                                      std::move(weights_hash), rule);
}

std::shared_ptr<const LanguageArchitecture> weighted_ensemble(std::vector<LanguageModel> members,
                                                              std::vector<double> shares,
                                                              EnsembleRule rule) {
  ASSAY_CHECK(!members.empty() && members.size() == shares.size(), "{} members with {} shares",
              members.size(), shares.size());
  return std::make_shared<DecoderEnsemble>(std::move(members), rule, std::move(shares));
}

}  // namespace assay
