#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "harness/calibration/internal/examples.h"
#include "harness/core/error.h"
#include "harness/lm/encoding.h"

namespace assay {
namespace {

/// Right-padded rows of token ids, and where they are no padding.
struct PaddedRows {
  at::Tensor ids, mask;  ///< the mask is undefined where no row is padded
};

// `rows(i)`: a range of the ids of row i.
template <typename Rows>
PaddedRows padded(int64_t count, const Rows& rows) {
  int64_t width = 0;
  bool ragged = false;
  for (int64_t i = 0; i < count; ++i) {
    const auto length = static_cast<int64_t>(rows(i).size());
    ragged = ragged || (i > 0 && length != width);
    width = std::max(width, length);
  }
  at::Tensor ids = at::zeros({count, width}, at::kLong);
  at::Tensor mask = at::zeros({count, width}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    const auto& row = rows(i);
    std::copy(row.begin(), row.end(), ids.data_ptr<int64_t>() + i * width);
    std::fill_n(mask.data_ptr<bool>() + i * width, row.size(), true);
  }
  return {ids, ragged ? mask : at::Tensor()};
}

at::Tensor concatenated(const std::vector<TokenIds>& parts) {
  std::vector<int64_t> all;
  for (const TokenIds& part : parts) all.insert(all.end(), part.begin(), part.end());
  return at::tensor(all, at::kLong);
}

class EncoderExamples final : public CalibrationExamples {
 public:
  void add(TokenizedInput input, std::optional<int64_t> label) {
    inputs_.push_back(std::move(input));
    labels_.push_back(label);
  }
  int64_t size() const override { return static_cast<int64_t>(inputs_.size()); }
  ModelBatch batch(int64_t first, int64_t count) const override {
    const auto [ids, mask] = padded(
        count, [&](int64_t i) -> const auto& { return at(first + i).ids; });
    const PaddedRows types = padded(
        count, [&](int64_t i) -> const auto& { return at(first + i).types; });
    return {.inputs = ids, .mask = mask, .types = types.ids};
  }
  at::Tensor targets(int64_t first, int64_t count) const override {
    at::Tensor targets = at::empty({count}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      const auto label = labels_[static_cast<size_t>(first + i)];
      if (!label) user_error("a task has no true classes, which the method or statistic needs");
      targets.data_ptr<int64_t>()[i] = *label;
    }
    return targets;
  }
  int64_t tokens(int64_t index) const override {
    return static_cast<int64_t>(at(index).ids.size());
  }
  int64_t bytes() const override {
    int64_t total = 0;
    for (const TokenizedInput& input : inputs_)
      total += static_cast<int64_t>(input.ids.size() * (sizeof(TokenId) + sizeof(int32_t)));
    return total;
  }

 private:
  const TokenizedInput& at(int64_t index) const { return inputs_[static_cast<size_t>(index)]; }
  std::vector<TokenizedInput> inputs_;
  std::vector<std::optional<int64_t>> labels_;
};

/// Of decoders and of encoder-decoders: a context, and an answer that is scored.
class GeneratorExamples final : public CalibrationExamples {
 public:
  /// `start`: the decoder's first token; absent for decoder-only models.
  explicit GeneratorExamples(std::optional<TokenId> start) : start_(start) {}

  void add(ScoredSequence sequence) { sequences_.push_back(std::move(sequence)); }
  int64_t size() const override { return static_cast<int64_t>(sequences_.size()); }
  ModelBatch batch(int64_t first, int64_t count) const override {
    const auto [inputs, mask] = padded(count, [&](int64_t i) { return read(at(first + i)); });
    ModelBatch batch{.inputs = inputs, .mask = mask};
    if (start_) {
      const PaddedRows rows = padded(count, [&](int64_t i) { return decoder_ids(at(first + i)); });
      batch.decoder_ids = rows.ids;
      batch.decoder_mask = rows.mask;
      batch.scored = rows.mask.defined() ? rows.mask : at::ones_like(rows.ids, at::kBool);
      return batch;
    }
    batch.scored = at::zeros_like(inputs, at::kBool);
    for (int64_t i = 0; i < count; ++i) {
      const ScoredSequence& sequence = at(first + i);
      bool* row = batch.scored.data_ptr<bool>() + i * inputs.size(1);
      std::fill(row + sequence.first - 1, row + sequence.tokens.size() - 1, true);
    }
    return batch;
  }
  at::Tensor targets(int64_t first, int64_t count) const override {
    std::vector<TokenIds> answers;
    for (int64_t i = 0; i < count; ++i) answers.push_back(answer(at(first + i)));
    return concatenated(answers);
  }
  int64_t tokens(int64_t index) const override {
    return static_cast<int64_t>(at(index).tokens.size());
  }
  int64_t bytes() const override {
    int64_t total = 0;
    for (const ScoredSequence& sequence : sequences_)
      total += static_cast<int64_t>(sequence.tokens.size() * sizeof(TokenId));
    return total;
  }

 private:
  const ScoredSequence& at(int64_t index) const { return sequences_[static_cast<size_t>(index)]; }
  static TokenIds answer(const ScoredSequence& sequence) {
    return {sequence.tokens.begin() + static_cast<int64_t>(sequence.first), sequence.tokens.end()};
  }
  // What the model reads: all tokens but the last, or the context where an encoder reads it.
  TokenIds read(const ScoredSequence& sequence) const {
    const auto end = start_ ? sequence.tokens.begin() + static_cast<int64_t>(sequence.first)
                            : sequence.tokens.end() - 1;
    return {sequence.tokens.begin(), end};
  }
  TokenIds decoder_ids(const ScoredSequence& sequence) const {
    TokenIds ids = answer(sequence);
    ids.insert(ids.begin(), *start_);
    ids.pop_back();
    return ids;
  }

  std::optional<TokenId> start_;
  std::vector<ScoredSequence> sequences_;
};

/// Cuts sequences to so many tokens per input of a model, and counts those that it cut.
class Cutter {
 public:
  Cutter(int64_t max_tokens, bool is_encoder_decoder)
      : max_(static_cast<size_t>(max_tokens)), is_encoder_decoder_(is_encoder_decoder) {}

  // A context loses its beginning, an answer that is too long by itself its end.
  ScoredSequence cut(ScoredSequence sequence) {
    const size_t before = sequence.tokens.size();
    const size_t answer = std::min(before - sequence.first, max_);
    sequence.tokens.resize(sequence.first + answer);
    const size_t context = is_encoder_decoder_ ? max_ : max_ + 1 - answer;
    if (sequence.first > context) {
      const auto excess = static_cast<int64_t>(sequence.first - context);
      sequence.tokens.erase(sequence.tokens.begin(), sequence.tokens.begin() + excess);
      sequence.first = context;
    }
    count(sequence.tokens.size() < before || sequence.dropped > 0);
    return sequence;
  }
  void count(bool is_cut) { cut_ += is_cut ? 1 : 0; }
  int64_t cut_texts() const { return cut_; }

 private:
  size_t max_;
  bool is_encoder_decoder_;
  int64_t cut_ = 0;
};

// The answer after its context, or the beginning of a text without one.
ScoredSequence scored_sequence(const TextEncoder& encoder, const ItemRequests& item,
                               const CalibrationSpec& spec, const Task& task, Cutter& cutter) {
  if (item.solution) return cutter.cut(encoder.pair(*item.solution));
  if (item.requests.rolling.empty())
    user_error(
        "the task '{}' has neither answers nor texts to score, which a model that generates "
        "text is calibrated on",
        task.name());
  RollingRequest request = item.requests.rolling.front();
  const int64_t window = request.window > 0 ? request.window : encoder.max_length();
  request.window = std::min(window, spec.max_tokens);
  std::vector<ScoredSequence> windows = encoder.windows(request);
  cutter.count(windows.size() > 1);
  return std::move(windows.front());
}

/// The items of tasks, each task's read once.
class Items {
 public:
  Items(const std::vector<std::shared_ptr<const Task>>& tasks, Split split) : tasks_(tasks) {
    for (const auto& task : tasks) items_.push_back(task->item_requests(split));
  }
  const ItemRequests& at(const DrawnExample& drawn) const {
    return items_[drawn.task][static_cast<size_t>(drawn.item)];
  }
  const Task& task(const DrawnExample& drawn) const { return *tasks_[drawn.task]; }

 private:
  const std::vector<std::shared_ptr<const Task>>& tasks_;
  std::vector<std::vector<ItemRequests>> items_;
};

std::unique_ptr<const CalibrationExamples> encoder_examples(const EncoderArchitecture& model,
                                                            const Tokenizer& tokenizer,
                                                            const Items& items,
                                                            const CalibrationSpec& spec,
                                                            const std::vector<DrawnExample>& drawn,
                                                            TokenCache& tokens, Cutter& cutter) {
  auto examples = std::make_unique<EncoderExamples>();
  const int64_t max_tokens = std::min(spec.max_tokens, max_input_tokens(model, tokenizer));
  for (const DrawnExample& one : drawn) {
    const ItemRequests& item = items.at(one);
    const Task& task = items.task(one);
    if (item.texts.empty())
      user_error("the task '{}' is for models that generate text, but the model is an encoder",
                 task.name());
    if (item.label && *item.label >= model.classes())
      user_error("the task '{}' has the class {}, but the model has {} classes", task.name(),
                 *item.label, model.classes());
    // A head reads two texts as one input. Without a head each is embedded alone: the first stands
    // for both.
    const bool is_pair = item.texts.size() > 1 && model.classes() > 0;
    TokenizedInput input = encode_input(model, tokenizer, tokens, item.texts.front(),
                                        is_pair ? &item.texts[1] : nullptr, max_tokens, item.where);
    cutter.count(input.dropped > 0);
    examples->add(std::move(input), item.label);
  }
  return examples;
}

}  // namespace

std::unique_ptr<const CalibrationExamples> text_examples(
    const Computation& model, const std::vector<std::shared_ptr<const Task>>& tasks,
    const CalibrationSpec& spec, const std::vector<DrawnExample>& drawn,
    const std::shared_ptr<TokenCache>& tokens, std::vector<std::string>& notes) {
  const Items items(tasks, spec.split);
  const auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(model.architecture);
  const auto both =
      std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(model.architecture);
  Cutter cutter(spec.max_tokens, both != nullptr);
  std::unique_ptr<const CalibrationExamples> result;
  if (decoder || both) {
    const TextEncoder encoder =
        both ? TextEncoder(SequenceToSequenceModel{both, {}, at::kCPU, model.tokenizer, {}}, tokens)
             : TextEncoder(LanguageModel{decoder, {}, at::kCPU, model.tokenizer, {}}, tokens);
    auto examples =
        std::make_unique<GeneratorExamples>(both ? std::optional(both->start_id()) : std::nullopt);
    for (const DrawnExample& one : drawn)
      examples->add(scored_sequence(encoder, items.at(one), spec, items.task(one), cutter));
    result = std::move(examples);
  } else {
    const auto* encoder = dynamic_cast<const EncoderArchitecture*>(model.architecture.get());
    ASSAY_CHECK(encoder, "a model with a tokenizer and no text");
    result = encoder_examples(*encoder, *model.tokenizer, items, spec, drawn, *tokens, cutter);
  }
  if (cutter.cut_texts() > 0)
    notes.push_back(fmt::format(
        "{} of {} texts are longer than {} tokens, or than the model accepts, and were cut",
        cutter.cut_texts(), drawn.size(), spec.max_tokens));
  return result;
}

}  // namespace assay
