/// A language model small enough to compute by hand: the logit of token v after tokens x_0 ... x_t
/// is the sum over s of 0.5^(t - s) * affinity(x_s, v).
#pragma once

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/lm/evaluator.h"

namespace assay {

/// A character is a token; id = its ASCII code. "^" is BOS, "$" is EOS.
class CharacterTokenizer : public Tokenizer {
 public:
  explicit CharacterTokenizer(bool adds_bos = false, bool has_begin = true, bool adds_eos = false)
      : adds_bos_(adds_bos), has_begin_(has_begin), adds_eos_(adds_eos) {}
  TokenIds encode(std::string_view text, bool special) const override {
    TokenIds ids;
    if (special && adds_bos_) ids.push_back('^');
    for (const char c : text)
      if (c != '~') ids.push_back(c);  // tokenizes to nothing
    if (special && adds_eos_) ids.push_back('$');
    return ids;
  }
  const InputTemplate& input_template(bool) const override {
    throw UserError("it arranges nothing");
  }
  std::string decode(const TokenIds& ids, bool skip_special) const override {
    std::string text;
    for (const TokenId id : ids)
      if (!skip_special || (id != '^' && id != '$')) text += static_cast<char>(id);
    return text;
  }
  int64_t size() const override { return 128; }
  std::optional<TokenId> id(std::string_view token) const override { return token.at(0); }
  std::string token(TokenId id) const override { return {static_cast<char>(id)}; }
  std::optional<TokenId> bos() const override { return begin('^'); }
  std::optional<TokenId> eos() const override { return begin('$'); }
  size_t ends_after_text() const override { return adds_eos_ ? 1 : 0; }
  std::optional<TokenId> pad() const override { return std::nullopt; }
  std::optional<TokenId> unknown() const override { return std::nullopt; }
  std::optional<int64_t> max_length() const override { return std::nullopt; }
  std::string hash() const override {
    return fmt::format("characters{}{}", adds_bos_ ? " with BOS" : "", adds_eos_ ? ", EOS" : "");
  }

 private:
  std::optional<TokenId> begin(char c) const {
    return has_begin_ ? std::optional<TokenId>(c) : std::nullopt;
  }
  bool adds_bos_, has_begin_, adds_eos_;
};

class FakeArchitecture : public LanguageArchitecture {
 public:
  explicit FakeArchitecture(int64_t max_positions, int64_t vocabulary = 128)
      : max_positions_(max_positions), vocabulary_(vocabulary) {}

  static double affinity(int64_t from, int64_t to) {
    return 2 * std::sin(static_cast<double>(from * 37 + to * 11 + from * to));
  }

  Json config() const override { return {{"model_type", "fake"}, {"positions", max_positions_}}; }
  std::vector<TensorInfo> tensors() const override { return {}; }
  StateDict initial_weights(uint64_t) const override { return {}; }
  int64_t vocabulary() const override { return vocabulary_; }
  int64_t max_positions() const override { return max_positions_; }

  // The hidden states are the decayed counts of the tokens so far, by id.
  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    const int64_t rows = batch.ids.size(0), width = batch.ids.size(1);
    const int64_t before = cache ? cache->tokens() : 0;
    tokens_computed += rows * width;
    max_pass_tokens = std::max(max_pass_tokens, rows * width);
    at::Tensor positions = batch.positions;
    if (!positions.defined())
      positions = (at::arange(width, at::kLong) + before).expand({rows, -1});
    // A token attends to itself and, unless the mask hides them, to earlier tokens.
    at::Tensor mask =
        at::ones({width, before + width}, at::kBool).tril(before).expand({rows, -1, -1});
    if (batch.mask.defined())
      mask = mask.logical_and(batch.mask)
                 .logical_or(mask.logical_and(at::ones_like(mask).triu(before)));
    at::Tensor one_hot = at::one_hot(batch.ids, vocabulary_).to(at::kDouble);
    at::Tensor all_positions = positions;
    if (before > 0) {
      one_hot = at::cat({cache->layers[0].keys.squeeze(1), one_hot}, 1);
      all_positions = at::cat({cache->positions, all_positions}, 1);
    }
    if (cache) {
      cache->layers.resize(1);
      cache->layers[0] = {one_hot.unsqueeze(1), one_hot.unsqueeze(1)};
      cache->positions = all_positions;
    }
    if (positions.max().item<int64_t>() >= max_positions_) user_error("a position out of range");
    const at::Tensor distance =
        (positions.unsqueeze(2) - all_positions.unsqueeze(1)).to(at::kDouble);
    return (at::pow(0.5, distance) * mask).matmul(one_hot).to(at::kFloat);
  }

  at::Tensor vocabulary_logits(const StateDict&, const at::Tensor& hidden) const override {
    positions_scored += hidden.numel() / vocabulary_;
    if (!table_.defined()) {
      table_ = at::empty({vocabulary_, vocabulary_}, at::kFloat);
      for (int64_t i = 0; i < vocabulary_; ++i)
        for (int64_t j = 0; j < vocabulary_; ++j) table_[i][j] = static_cast<float>(affinity(i, j));
    }
    return hidden.matmul(table_);
  }

  mutable int64_t tokens_computed = 0, max_pass_tokens = 0, positions_scored = 0;

 private:
  int64_t max_positions_, vocabulary_;
  mutable at::Tensor table_;
};

inline LanguageModel fake_model(int64_t max_positions = 64, bool adds_bos = false) {
  return {std::make_shared<FakeArchitecture>(max_positions),
          {},
          at::kCPU,
          std::make_shared<CharacterTokenizer>(adds_bos),
          ""};
}

inline const FakeArchitecture& fake_of(const LanguageModel& model) {
  return static_cast<const FakeArchitecture&>(*model.architecture);
}

/// Logits of all tokens after `before`, from the definition.
inline std::vector<double> fake_scores(const std::string& before) {
  std::vector<double> scores(128, 0);
  for (size_t v = 0; v < scores.size(); ++v)
    for (size_t s = 0; s < before.size(); ++s)
      scores[v] += std::pow(0.5, static_cast<double>(before.size() - 1 - s)) *
                   FakeArchitecture::affinity(before[s], static_cast<int64_t>(v));
  return scores;
}

/// The log-probability of `text` after `before`.
inline double fake_log_likelihood(std::string before, const std::string& text) {
  double sum = 0;
  for (const char next : text) {
    const std::vector<double> scores = fake_scores(before);
    double total = 0;
    for (const double score : scores) total += std::exp(score);
    sum += scores[static_cast<size_t>(next)] - std::log(total);
    before += next;
  }
  return sum;
}

/// The greedy continuation of `before`.
inline std::string fake_continuation(std::string before, size_t tokens) {
  const size_t size = before.size();
  while (before.size() < size + tokens) {
    const std::vector<double> scores = fake_scores(before);
    before += static_cast<char>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  return before.substr(size);
}

}  // namespace assay
