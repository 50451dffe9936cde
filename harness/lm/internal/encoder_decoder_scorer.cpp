#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>

#include "harness/core/log.h"
#include "harness/lm/internal/scorer.h"

namespace assay {
namespace {

/// A text for the encoder, and what is written about it.
struct ReadText {
  TokenIds ids;
  std::vector<size_t> sequences;
};

int64_t written(const ScoredSequence& sequence) {
  return static_cast<int64_t>(sequence.tokens.size() - sequence.first);
}

// The longest first.
std::vector<ReadText> texts_of(const std::vector<ScoredSequence>& sequences) {
  std::map<TokenIds, std::vector<size_t>> by_text;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const TokenIds& tokens = sequences[i].tokens;
    const auto end = tokens.begin() + static_cast<int64_t>(sequences[i].first);
    by_text[{tokens.begin(), end}].push_back(i);
  }
  std::vector<ReadText> texts;
  for (auto& [ids, members] : by_text) texts.push_back({ids, std::move(members)});
  std::stable_sort(texts.begin(), texts.end(), [](const ReadText& a, const ReadText& b) {
    return a.ids.size() > b.ids.size();
  });
  return texts;
}

class WritingScorer {
 public:
  WritingScorer(const SequenceToSequenceModel& model, const std::vector<ScoredSequence>& sequences,
                const BatchLimits& limits)
      : model_(model), sequences_(sequences), limits_(limits) {}

  // Scores what is written about the texts from `begin` on, as many as fit. Returns how many.
  size_t run(const std::vector<ReadText>& texts, size_t begin, std::vector<SequenceScore>& scores) {
    while (true) {
      const auto length = static_cast<int64_t>(texts[begin].ids.size());
      const auto count = static_cast<size_t>(
          std::clamp<int64_t>(std::min(limits_.tokens, limits_.cached_tokens) / length, 1,
                              static_cast<int64_t>(texts.size() - begin)));
      try {
        add_scores(score({texts.data() + begin, texts.data() + begin + count}), scores);
        return count;
      } catch (const c10::OutOfMemoryError&) {
        if (limits_.tokens == 1) throw;
      }
      limits_.tokens = std::max<int64_t>(1, std::min(limits_.tokens, limits_.cached_tokens) / 2);
      limits_.cached_tokens = limits_.tokens;
      log_info("the device's memory is full: going on with {} tokens at once", limits_.tokens);
    }
  }

 private:
  /// A text read, and the cache after the token that everything written starts with.
  struct Start {
    EncodedText text;
    EncoderDecoderCache cache;
  };

  std::vector<TokenScore> score(const std::vector<ReadText>& texts) const {
    std::vector<TokenIds> ids;
    for (const ReadText& text : texts) ids.push_back(text.ids);
    const TokenBatch batch = padded_batch(ids, Padding::kRight);
    const SequenceToSequenceArchitecture& architecture = *model_.architecture;
    Start start;
    start.text = architecture.encode(model_.weights, batch.ids,
                                     batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor());
    const at::Tensor first_id =
        at::full({batch.ids.size(0), 1}, architecture.start_id(), at::kLong);
    const at::Tensor hidden =
        architecture.decode(model_.weights, first_id, start.text, &start.cache);

    std::vector<WantedToken> first;
    std::vector<Row> longer;
    for (size_t i = 0; i < texts.size(); ++i)
      for (const size_t sequence : texts[i].sequences) {
        const ScoredSequence& all = sequences_[sequence];
        first.push_back({static_cast<int64_t>(i), all.tokens[all.first], sequence});
        if (written(all) > 1) longer.push_back({static_cast<int64_t>(i), sequence});
      }
    std::vector<TokenScore> found = scores_of(hidden, std::move(first));
    std::stable_sort(longer.begin(), longer.end(), [&](const Row& a, const Row& b) {
      return written(sequences_[a.sequence]) > written(sequences_[b.sequence]);
    });
    for (size_t begin = 0; begin < longer.size();) {
      const int64_t width = written(sequences_[longer[begin].sequence]) - 1;
      const int64_t most =
          std::min(limits_.tokens / width, limits_.cached_tokens / batch.ids.size(1));
      const size_t end =
          std::min(longer.size(), begin + static_cast<size_t>(std::max(most, int64_t{1})));
      write({longer.data() + begin, longer.data() + end}, width, start, found);
      begin = end;
    }
    return found;
  }

  struct Row {
    int64_t text;
    size_t sequence;
  };

  // Reads all tokens but the last of what the rows write, after the first; `width` at most.
  void write(const std::vector<Row>& rows, int64_t width, const Start& start,
             std::vector<TokenScore>& found) const {
    const auto count = static_cast<int64_t>(rows.size());
    // No token looks at the padding, which stands behind it.
    at::Tensor ids = at::zeros({count, width}, at::kLong);
    std::vector<int64_t> texts;
    std::vector<WantedToken> wanted;
    for (int64_t row = 0; row < count; ++row) {
      const auto& [text, sequence] = rows[static_cast<size_t>(row)];
      texts.push_back(text);
      const ScoredSequence& all = sequences_[sequence];
      int64_t place = row * width;
      int64_t* id = ids.data_ptr<int64_t>() + place;
      for (size_t i = all.first; i + 1 < all.tokens.size(); ++i) {
        *id++ = all.tokens[i];
        wanted.push_back({place++, all.tokens[i + 1], sequence});
      }
    }
    const at::Tensor index = at::tensor(texts, at::kLong);
    EncodedText text{start.text.states.index_select(0, index.to(model_.device)), {}};
    if (start.text.mask.defined()) text.mask = start.text.mask.index_select(0, index);
    EncoderDecoderCache cache = start.cache.select(index);
    const at::Tensor hidden = model_.architecture->decode(model_.weights, ids, text, &cache);
    for (TokenScore& score : scores_of(hidden, std::move(wanted))) found.push_back(score);
  }

  std::vector<TokenScore> scores_of(const at::Tensor& hidden,
                                    std::vector<WantedToken> wanted) const {
    const auto head = [&](const at::Tensor& states) {
      return model_.architecture->vocabulary_logits(model_.weights, states);
    };
    return score_tokens(head, hidden.reshape({-1, hidden.size(-1)}), std::move(wanted),
                        limits_.places(model_.architecture->vocabulary()));
  }

  const SequenceToSequenceModel& model_;
  const std::vector<ScoredSequence>& sequences_;
  BatchLimits limits_;
};

}  // namespace

std::vector<SequenceScore> score_sequences(const SequenceToSequenceModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress) {
  const c10::NoGradGuard no_gradients;
  std::vector<SequenceScore> scores(sequences.size());
  const std::vector<ReadText> texts = texts_of(sequences);
  const auto tokens_of = [&](const ReadText& text) {
    auto tokens = static_cast<int64_t>(text.ids.size());
    for (const size_t i : text.sequences) tokens += written(sequences[i]);
    return tokens;
  };
  int64_t total = 0;
  for (const ReadText& text : texts) total += tokens_of(text);

  if (progress) progress(0, total);
  WritingScorer scorer(model, sequences, limits);
  for (size_t begin = 0; begin < texts.size();) {
    const size_t count = scorer.run(texts, begin, scores);
    int64_t done = 0;
    for (size_t i = begin; i < begin + count; ++i) done += tokens_of(texts[i]);
    if (progress) progress(done, total);
    begin += count;
  }
  return scores;
}

}  // namespace assay
