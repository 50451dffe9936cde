#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>

#include "harness/core/log.h"
#include "harness/lm/internal/scorer.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

/// A text for the encoder, and the sequences that have it as their context.
struct EncoderInput {
  TokenIds ids;
  std::vector<size_t> sequences;
};

int64_t decoder_tokens(const ScoredSequence& sequence) {
  return static_cast<int64_t>(sequence.tokens.size() - sequence.first);
}

// Longest first.
std::vector<EncoderInput> encoder_inputs(const std::vector<ScoredSequence>& sequences) {
  std::map<TokenIds, std::vector<size_t>> by_text;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const TokenIds& tokens = sequences[i].tokens;
    const auto end = tokens.begin() + static_cast<int64_t>(sequences[i].first);
    by_text[{tokens.begin(), end}].push_back(i);
  }
  std::vector<EncoderInput> texts;
  for (auto& [ids, members] : by_text) texts.push_back({ids, std::move(members)});
  std::stable_sort(texts.begin(), texts.end(), [](const EncoderInput& a, const EncoderInput& b) {
    return a.ids.size() > b.ids.size();
  });
  return texts;
}

class EncoderDecoderScorer {
 public:
  EncoderDecoderScorer(const SequenceToSequenceModel& model,
                       const std::vector<ScoredSequence>& sequences, const BatchLimits& limits)
      : model_(model), sequences_(sequences), limits_(limits) {}

  // Scores the sequences of as many texts from `begin` on as fit. Returns the number of texts.
  size_t run(const std::vector<EncoderInput>& texts, size_t begin,
             std::vector<SequenceScore>& scores) {
    while (true) {
      const auto length = static_cast<int64_t>(texts[begin].ids.size());
      const auto text_count = static_cast<size_t>(
          std::clamp<int64_t>(std::min(limits_.tokens, limits_.cached_tokens) / length, 1,
                              static_cast<int64_t>(texts.size() - begin)));
      try {
        add_scores(score({texts.data() + begin, texts.data() + begin + text_count}), scores);
        return text_count;
      } catch (const c10::OutOfMemoryError&) {
        if (limits_.tokens == 1) throw;
      }
      limits_.tokens = std::max<int64_t>(1, std::min(limits_.tokens, limits_.cached_tokens) / 2);
      limits_.cached_tokens = limits_.tokens;
      log_info("out of device memory: continuing with batches of {} tokens", limits_.tokens);
    }
  }

 private:
  /// Encoded texts, and the KV cache after the decoder's start token.
  struct EncodedBatch {
    EncodedText text;
    EncoderDecoderCache cache;
  };

  std::vector<TokenScore> score(const std::vector<EncoderInput>& texts) const {
    std::vector<TokenIds> ids;
    for (const EncoderInput& text : texts) ids.push_back(text.ids);
    const TokenBatch batch = padded_batch(ids, Padding::kRight);
    const SequenceToSequenceArchitecture& architecture = *model_.architecture;
    EncodedBatch encoded;
    encoded.text = architecture.encode(
        model_.weights, batch.ids, batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor());
    const at::Tensor first_id =
        at::full({batch.ids.size(0), 1}, architecture.start_id(), at::kLong);
    const at::Tensor hidden =
        architecture.decode(model_.weights, first_id, encoded.text, &encoded.cache);

    std::vector<TargetToken> first;
    std::vector<Row> rows;
    for (size_t i = 0; i < texts.size(); ++i)
      for (const size_t sequence : texts[i].sequences) {
        const ScoredSequence& all = sequences_[sequence];
        first.push_back({static_cast<int64_t>(i), all.tokens[all.first], sequence});
        if (decoder_tokens(all) > 1) rows.push_back({static_cast<int64_t>(i), sequence});
      }
    std::vector<TokenScore> found = scores_of(hidden, std::move(first));
    std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
      return decoder_tokens(sequences_[a.sequence]) > decoder_tokens(sequences_[b.sequence]);
    });
    for (size_t begin = 0; begin < rows.size();) {
      const int64_t width = decoder_tokens(sequences_[rows[begin].sequence]) - 1;
      const int64_t max_rows =
          std::min(limits_.tokens / width, limits_.cached_tokens / batch.ids.size(1));
      const size_t end =
          std::min(rows.size(), begin + static_cast<size_t>(std::max(max_rows, int64_t{1})));
      score_rows({rows.data() + begin, rows.data() + end}, width, encoded, found);
      begin = end;
    }
    return found;
  }

  struct Row {
    int64_t text;
    size_t sequence;
  };

  // Scores the rows' decoder tokens after the first; at most `width` input tokens per row.
  void score_rows(const std::vector<Row>& rows, int64_t width, const EncodedBatch& encoded,
                  std::vector<TokenScore>& found) const {
    const auto row_count = static_cast<int64_t>(rows.size());
    // Right padding: causal attention hides it from all tokens.
    at::Tensor ids = at::zeros({row_count, width}, at::kLong);
    at::Tensor mask = at::zeros({row_count, width}, at::kBool);
    std::vector<int64_t> texts;
    std::vector<TargetToken> targets;
    for (int64_t row = 0; row < row_count; ++row) {
      const auto& [text, sequence] = rows[static_cast<size_t>(row)];
      texts.push_back(text);
      const ScoredSequence& all = sequences_[sequence];
      int64_t position = row * width;
      int64_t* id = ids.data_ptr<int64_t>() + position;
      for (size_t i = all.first; i + 1 < all.tokens.size(); ++i) {
        *id++ = all.tokens[i];
        targets.push_back({position++, all.tokens[i + 1], sequence});
      }
      mask[row].narrow(0, 0, position - row * width).fill_(true);
    }
    const at::Tensor index = at::tensor(texts, at::kLong);
    EncodedText text{encoded.text.states.index_select(0, index.to(model_.device)), {}};
    if (encoded.text.mask.defined()) text.mask = encoded.text.mask.index_select(0, index);
    EncoderDecoderCache cache = encoded.cache.select(index);
    const CountedTokens counted(mask);
    const at::Tensor hidden = model_.architecture->decode(model_.weights, ids, text, &cache);
    for (TokenScore& score : scores_of(hidden, std::move(targets))) found.push_back(score);
  }

  std::vector<TokenScore> scores_of(const at::Tensor& hidden,
                                    std::vector<TargetToken> targets) const {
    const auto head = [&](const at::Tensor& states) {
      return model_.architecture->vocabulary_logits(model_.weights, states);
    };
    return score_tokens(head, hidden.reshape({-1, hidden.size(-1)}), std::move(targets),
                        limits_.head_positions(model_.architecture->vocabulary()));
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
  const std::vector<EncoderInput> texts = encoder_inputs(sequences);
  const auto tokens_of = [&](const EncoderInput& text) {
    auto tokens = static_cast<int64_t>(text.ids.size());
    for (const size_t i : text.sequences) tokens += decoder_tokens(sequences[i]);
    return tokens;
  };
  int64_t total = 0;
  for (const EncoderInput& text : texts) total += tokens_of(text);

  if (progress) progress(0, total);
  EncoderDecoderScorer scorer(model, sequences, limits);
  for (size_t begin = 0; begin < texts.size();) {
    const size_t text_count = scorer.run(texts, begin, scores);
    int64_t done = 0;
    for (size_t i = begin; i < begin + text_count; ++i) done += tokens_of(texts[i]);
    if (progress) progress(done, total);
    begin += text_count;
  }
  return scores;
}

}  // namespace assay
