#include "harness/lm/encoded_texts.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"

namespace assay {
namespace {

/// Right-padded rows of token ids, and where they are no padding.
struct PaddedRows {
  at::Tensor ids, mask;  ///< the mask is undefined where no row is padded
};

// `row(place)`: a range of ids.
template <typename Row>
PaddedRows padded(std::span<const int64_t> places, const Row& row) {
  const auto count = static_cast<int64_t>(places.size());
  int64_t width = 0;
  bool ragged = false;
  for (int64_t i = 0; i < count; ++i) {
    const auto length = static_cast<int64_t>(row(places[static_cast<size_t>(i)]).size());
    ragged = ragged || (i > 0 && length != width);
    width = std::max(width, length);
  }
  at::Tensor ids = at::zeros({count, width}, at::kLong);
  at::Tensor mask = at::zeros({count, width}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    const auto& values = row(places[static_cast<size_t>(i)]);
    std::copy(values.begin(), values.end(), ids.data_ptr<int64_t>() + i * width);
    std::fill_n(mask.data_ptr<bool>() + i * width, values.size(), true);
  }
  return {ids, ragged ? mask : at::Tensor()};
}

}  // namespace

void EncoderTexts::add(TokenizedInput input, std::optional<int64_t> label) {
  inputs_.push_back(std::move(input));
  labels_.push_back(label);
}

ModelBatch EncoderTexts::batch(std::span<const int64_t> places) const {
  const auto [ids, mask] = padded(
      places, [&](int64_t place) -> const auto& { return at(place).ids; });
  const PaddedRows types = padded(
      places, [&](int64_t place) -> const auto& { return at(place).types; });
  return {.inputs = ids, .mask = mask, .types = types.ids};
}

at::Tensor EncoderTexts::targets(std::span<const int64_t> places) const {
  std::vector<int64_t> targets;
  for (const int64_t place : places) {
    const auto label = labels_[static_cast<size_t>(place)];
    if (!label) user_error("a task has no true classes, which the method or statistic needs");
    targets.push_back(*label);
  }
  return at::tensor(targets, at::kLong);
}

int64_t EncoderTexts::tokens(int64_t place) const {
  return static_cast<int64_t>(at(place).ids.size());
}

ExampleLength EncoderTexts::length(int64_t place) const { return {.inputs = tokens(place)}; }

int64_t EncoderTexts::bytes() const {
  int64_t total = 0;
  for (const TokenizedInput& input : inputs_)
    total += static_cast<int64_t>(input.ids.size() * (sizeof(TokenId) + sizeof(int32_t)));
  return total;
}

ModelBatch GeneratorTexts::batch(std::span<const int64_t> places) const {
  const auto [inputs, mask] = padded(places, [&](int64_t place) { return read(at(place)); });
  ModelBatch batch{.inputs = inputs, .mask = mask};
  if (start_) {
    const PaddedRows rows = padded(places, [&](int64_t place) { return decoder_ids(at(place)); });
    batch.decoder_ids = rows.ids;
    batch.decoder_mask = rows.mask;
    batch.scored = rows.mask.defined() ? rows.mask : at::ones_like(rows.ids, at::kBool);
    return batch;
  }
  batch.scored = at::zeros_like(inputs, at::kBool);
  bool* row = batch.scored.data_ptr<bool>();
  for (const int64_t place : places) {
    const ScoredSequence& sequence = at(place);
    std::fill(row + sequence.first - 1, row + sequence.tokens.size() - 1, true);
    row += inputs.size(1);
  }
  return batch;
}

at::Tensor GeneratorTexts::targets(std::span<const int64_t> places) const {
  std::vector<int64_t> all;
  for (const int64_t place : places) {
    const TokenIds ids = answer(at(place));
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return at::tensor(all, at::kLong);
}

int64_t GeneratorTexts::tokens(int64_t place) const {
  return static_cast<int64_t>(at(place).tokens.size());
}

ExampleLength GeneratorTexts::length(int64_t place) const {
  const auto context = static_cast<int64_t>(at(place).first);
  if (start_) return {.inputs = context, .decoder = tokens(place) - context};
  return {.inputs = tokens(place) - 1};
}

int64_t GeneratorTexts::bytes() const {
  int64_t total = 0;
  for (const ScoredSequence& sequence : sequences_)
    total += static_cast<int64_t>(sequence.tokens.size() * sizeof(TokenId));
  return total;
}

TokenIds GeneratorTexts::answer(const ScoredSequence& sequence) {
  return {sequence.tokens.begin() + static_cast<int64_t>(sequence.first), sequence.tokens.end()};
}

// What the model reads: all tokens but the last, or the context where an encoder reads it.
TokenIds GeneratorTexts::read(const ScoredSequence& sequence) const {
  const auto end = start_ ? sequence.tokens.begin() + static_cast<int64_t>(sequence.first)
                          : sequence.tokens.end() - 1;
  return {sequence.tokens.begin(), end};
}

TokenIds GeneratorTexts::decoder_ids(const ScoredSequence& sequence) const {
  TokenIds ids = answer(sequence);
  ids.insert(ids.begin(), *start_);
  ids.pop_back();
  return ids;
}

ScoredSequence cut_sequence(ScoredSequence sequence, int64_t max_tokens, bool is_encoder_decoder) {
  const auto max = static_cast<size_t>(max_tokens);
  const size_t answer = std::min(sequence.tokens.size() - sequence.first, max);
  sequence.tokens.resize(sequence.first + answer);
  const size_t context = is_encoder_decoder ? max : max + 1 - answer;
  if (sequence.first > context) {
    const auto excess = static_cast<int64_t>(sequence.first - context);
    sequence.tokens.erase(sequence.tokens.begin(), sequence.tokens.begin() + excess);
    sequence.first = context;
  }
  return sequence;
}

}  // namespace assay
