#include "harness/model/ensemble.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"

namespace assay {
namespace {

/// How much of what stands side by side is a member's.
struct MemberShare {
  int64_t width;         ///< of the states
  size_t layers;         ///< of a cache
  at::ScalarType dtype;  ///< what it computes in
  int64_t encoded = 0;   ///< width of the encoder's states
};

/// A member's own part of states that stand side by side: there all are of the widest dtype, which
/// holds each member's values exactly.
at::Tensor own_part(const at::Tensor& states, int64_t first, int64_t width, at::ScalarType dtype) {
  return states.narrow(-1, first, width).to(dtype);
}

std::vector<KvCache::Layer> part_of(const std::vector<KvCache::Layer>& layers, size_t first,
                                    size_t count) {
  if (layers.empty()) return {};
  const auto begin = layers.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

void append(std::vector<KvCache::Layer>& all, const std::vector<KvCache::Layer>& part) {
  all.insert(all.end(), part.begin(), part.end());
}

MemberShare share_of(const LanguageModel& member) {
  const c10::NoGradGuard no_gradients;
  KvCache cache;
  const at::Tensor hidden =
      member.architecture->hidden(member.weights, {at::zeros({1, 1}, at::kLong)}, &cache);
  return {hidden.size(-1), cache.layers.size(), hidden.scalar_type()};
}

MemberShare share_of(const SequenceToSequenceModel& member) {
  const c10::NoGradGuard no_gradients;
  WritingCache cache;
  const at::Tensor id = at::zeros({1, 1}, at::kLong);
  const EncodedText text = member.architecture->encode(member.weights, id, {});
  const at::Tensor hidden = member.architecture->decode(member.weights, id, text, &cache);
  return {hidden.size(-1), cache.written.layers.size(), hidden.scalar_type(), text.states.size(-1)};
}

/// What ensembles of both kinds have in common.
template <typename Kind>
class Ensemble : public Kind {
 public:
  explicit Ensemble(std::vector<TextModel<Kind>> members) : members_(std::move(members)) {
    for (const TextModel<Kind>& member : members_) shares_.push_back(share_of(member));
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
    at::Tensor sum;  // of the members' probabilities, as its logarithm
    int64_t first = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      const TextModel<Kind>& member = members_[i];
      const at::Tensor logits = member.architecture->vocabulary_logits(
          member.weights, own_part(hidden, first, shares_[i].width, shares_[i].dtype));
      const at::Tensor own = at::log_softmax(logits, -1, at::kFloat);
      sum = sum.defined() ? at::logaddexp(sum, own) : own;
      first += shares_[i].width;
    }
    return sum - std::log(static_cast<double>(members_.size()));
  }

 protected:
  std::vector<TextModel<Kind>> members_;
  std::vector<MemberShare> shares_;
};

class DecoderEnsemble final : public Ensemble<LanguageArchitecture> {
 public:
  using Ensemble::Ensemble;

  int64_t max_positions() const override {
    int64_t least = members_.front().architecture->max_positions();
    for (const LanguageModel& member : members_)
      least = std::min(least, member.architecture->max_positions());
    return least;
  }
  bool can_extend(int64_t from, int64_t to) const override {
    return std::all_of(members_.begin(), members_.end(), [&](const LanguageModel& member) {
      return member.architecture->can_extend(from, to);
    });
  }
  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    std::vector<at::Tensor> states;
    KvCache grown;  // the caller's stays as it is when a member fails
    size_t first = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      KvCache own;
      if (cache) own = {part_of(cache->layers, first, shares_[i].layers), cache->positions};
      states.push_back(
          members_[i].architecture->hidden(members_[i].weights, batch, cache ? &own : nullptr));
      append(grown.layers, own.layers);
      grown.positions = own.positions;
      first += shares_[i].layers;
    }
    if (cache) *cache = std::move(grown);
    return at::cat(states, -1);
  }
};

class EncoderDecoderEnsemble final : public Ensemble<SequenceToSequenceArchitecture> {
 public:
  using Ensemble::Ensemble;

  TokenId start_id() const override { return members_.front().architecture->start_id(); }
  std::optional<int64_t> max_positions() const override {
    std::optional<int64_t> least;
    for (const SequenceToSequenceModel& member : members_)
      if (const auto own = member.architecture->max_positions())
        least = std::min(*own, least.value_or(*own));
    return least;
  }
  EncodedText encode(const StateDict&, const at::Tensor& ids,
                     const at::Tensor& mask) const override {
    std::vector<at::Tensor> states;
    for (const SequenceToSequenceModel& member : members_)
      states.push_back(member.architecture->encode(member.weights, ids, mask).states);
    return {at::cat(states, -1), mask};
  }
  at::Tensor decode(const StateDict&, const at::Tensor& ids, const EncodedText& text,
                    WritingCache* cache) const override {
    std::vector<at::Tensor> states;
    WritingCache grown;
    size_t layer = 0;
    int64_t encoded = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      const MemberShare& share = shares_[i];
      WritingCache own;
      if (cache)
        own = {{part_of(cache->written.layers, layer, share.layers), cache->written.positions},
               part_of(cache->text, layer, share.layers)};
      states.push_back(members_[i].architecture->decode(
          members_[i].weights, ids,
          {own_part(text.states, encoded, share.encoded, share.dtype), text.mask},
          cache ? &own : nullptr));
      append(grown.written.layers, own.written.layers);
      append(grown.text, own.text);
      grown.written.positions = own.written.positions;
      layer += share.layers;
      encoded += share.encoded;
    }
    if (cache) *cache = std::move(grown);
    return at::cat(states, -1);
  }
};

// Why the two cannot vote on tokens together; empty when they can.
template <typename Kind>
std::string conflict(const TextModel<Kind>& first, const TextModel<Kind>& other) {
  if (first.tokenizer->hash() != other.tokenizer->hash())
    return "its members have different tokenizers";
  const int64_t words = first.architecture->vocabulary(), more = other.architecture->vocabulary();
  if (words != more)
    return fmt::format("its members' vocabularies have {} and {} tokens", words, more);
  if constexpr (std::is_same_v<Kind, SequenceToSequenceArchitecture>)
    if (first.architecture->start_id() != other.architecture->start_id())
      return "its members begin to write with different tokens";
  return {};
}

template <typename Joined, typename Kind>
TextModel<Kind> join(const TextModel<Kind>& first, const std::vector<AnyLanguageModel>& members,
                     std::string weights_hash) {
  std::vector<TextModel<Kind>> same_kind;
  for (const AnyLanguageModel& member : members) {
    const auto* other = std::get_if<TextModel<Kind>>(&member);
    const std::string reason =
        other ? conflict(first, *other) : "its members are decoders and encoder-decoders";
    if (!reason.empty()) throw SkipCell(fmt::format("no output ensemble: {}", reason));
    same_kind.push_back(*other);
  }
  return {std::make_shared<Joined>(std::move(same_kind)),
          {},
          first.device,
          first.tokenizer,
          std::move(weights_hash)};
}

}  // namespace

AnyLanguageModel ensemble_of(const std::vector<AnyLanguageModel>& members,
                             std::string weights_hash) {
  ASSAY_CHECK(!members.empty(), "an ensemble without members");
  if (const auto* decoder = std::get_if<LanguageModel>(&members.front()))
    return join<DecoderEnsemble>(*decoder, members, std::move(weights_hash));
  return join<EncoderDecoderEnsemble>(std::get<SequenceToSequenceModel>(members.front()), members,
                                      std::move(weights_hash));
}

}  // namespace assay
