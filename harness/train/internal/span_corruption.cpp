#include "harness/train/internal/span_corruption.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

constexpr double kNoise = 0.15;
constexpr double kMeanSpan = 3;

int64_t noise_count(int64_t tokens) {
  const auto count = std::llround(static_cast<double>(tokens) * kNoise);
  return std::clamp<int64_t>(count, 1, tokens - 1);
}

/// `total` as a sum of `parts` positive numbers.
std::vector<int64_t> random_parts(int64_t total, int64_t parts, Rng& rng) {
  // The ends of all parts but the last are different places between two tokens.
  std::vector<int64_t> ends = rng.permutation(total - 1);
  ends.resize(static_cast<size_t>(parts - 1));
  std::sort(ends.begin(), ends.end());
  std::vector<int64_t> lengths;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    lengths.push_back(end + 1 - begin);
    begin = end + 1;
  }
  lengths.push_back(total - begin);
  return lengths;
}

}  // namespace

TokenIds sentinels_of(const Tokenizer& tokenizer) {
  TokenIds sentinels;
  while (const auto id = tokenizer.id(fmt::format("<extra_id_{}>", sentinels.size())))
    sentinels.push_back(*id);
  return sentinels;
}

int64_t span_count(int64_t tokens) {
  const int64_t noise = noise_count(tokens);
  const auto spans = std::llround(static_cast<double>(noise) / kMeanSpan);
  return std::clamp<int64_t>(spans, 1, tokens - noise);
}

ScoredSequence corrupt_spans(const TokenIds& tokens, const TokenIds& sentinels,
                             std::optional<TokenId> end, Rng& rng) {
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t noise = noise_count(count), spans = span_count(count);
  const std::vector<int64_t> removed = random_parts(noise, spans, rng);
  const std::vector<int64_t> kept = random_parts(count - noise, spans, rng);

  TokenIds context, answer;
  auto token = tokens.begin();
  for (size_t i = 0; i < removed.size(); ++i) {
    context.insert(context.end(), token, token + kept[i]);
    token += kept[i];
    context.push_back(sentinels[i]);
    answer.push_back(sentinels[i]);
    answer.insert(answer.end(), token, token + removed[i]);
    token += removed[i];
  }
  if (end) {
    context.push_back(*end);
    answer.push_back(*end);
  }
  ScoredSequence sequence{.tokens = context, .first = context.size()};
  sequence.tokens.insert(sequence.tokens.end(), answer.begin(), answer.end());
  return sequence;
}

}  // namespace assay
