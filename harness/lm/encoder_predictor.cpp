#include "harness/lm/encoder_predictor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/lm/encoding.h"
#include "harness/lm/scorer.h"

namespace assay {

/// Reads texts and works out one row of numbers for each.
class EncoderModelPredictor::Reader {
 public:
  using Outputs = std::function<at::Tensor(const EncoderBatch& batch)>;  // [rows, numbers]

  Reader(const EncoderModelPredictor& predictor, Outputs outputs)
      : predictor_(predictor), model_(predictor.model_), outputs_(std::move(outputs)) {}

  /// Index of the input's row.
  int64_t add(const std::string& first, const std::string* second, const std::string& where) {
    const auto encode = [&](const std::string& text) {
      return encode_once(*model_.tokenizer, text, false);
    };
    ArrangedTokens tokens =
        model_.tokenizer->arrangement(second != nullptr)
            .arrange(encode(first), second ? encode(*second) : TokenIds(), predictor_.max_tokens());
    if (tokens.ids.empty()) data_error("{}: the text has no tokens", where);
    const auto [it, inserted] = rows_.emplace(std::pair(tokens.ids, tokens.types), inputs_.size());
    if (inserted) {
      Use& use = predictor_.use_;
      use.inputs += 1;
      use.tokens += static_cast<int64_t>(tokens.ids.size());
      use.shortened += tokens.dropped > 0 ? 1 : 0;
      use.dropped_tokens += tokens.dropped;
      inputs_.push_back(std::move(tokens));
    }
    return static_cast<int64_t>(it->second);
  }

  /// Float32 [inputs, numbers] on the CPU.
  at::Tensor rows() const {
    const c10::NoGradGuard no_gradients;
    std::vector<size_t> order(inputs_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return inputs_[a].ids.size() > inputs_[b].ids.size();
    });
    Progress progress("reading texts", static_cast<int64_t>(order.size()));
    std::vector<at::Tensor> parts;
    for (size_t begin = 0; begin < order.size();) {
      const auto width = static_cast<int64_t>(inputs_[order[begin]].ids.size());
      const auto left = static_cast<int64_t>(order.size() - begin);
      int64_t& budget = predictor_.batch_tokens_;
      const int64_t count = std::clamp<int64_t>(budget / width, 1, left);
      try {
        parts.push_back(outputs_(batch_of(&order[begin], count, width)).to(at::kFloat).cpu());
      } catch (const c10::OutOfMemoryError&) {
        if (count == 1) throw;
        budget = count / 2 * width;
        log_info("the device's memory is full: going on with {} tokens at once", budget);
        continue;
      }
      begin += static_cast<size_t>(count);
      counters::examples += count;
      progress.advance(count);
    }
    const at::Tensor sorted = at::cat(parts);
    at::Tensor rows = at::empty_like(sorted);
    const std::vector<int64_t> places(order.begin(), order.end());
    return rows.index_copy_(0, at::tensor(places, at::kLong), sorted);
  }

 private:
  EncoderBatch batch_of(const size_t* order, int64_t count, int64_t width) const {
    at::Tensor ids = at::zeros({count, width}, at::kLong), types = at::zeros_like(ids);
    at::Tensor mask = at::zeros({count, width}, at::kBool);
    for (int64_t row = 0; row < count; ++row) {
      const ArrangedTokens& input = inputs_[order[row]];
      std::copy(input.ids.begin(), input.ids.end(), ids.data_ptr<int64_t>() + row * width);
      std::copy(input.types.begin(), input.types.end(), types.data_ptr<int64_t>() + row * width);
      std::fill_n(mask.data_ptr<bool>() + row * width, input.ids.size(), true);
    }
    const bool padded = inputs_[order[count - 1]].ids.size() < static_cast<size_t>(width);
    return {ids.to(model_.device), types.to(model_.device),
            padded ? mask.to(model_.device) : at::Tensor()};
  }

  const EncoderModelPredictor& predictor_;
  const EncoderModel& model_;
  Outputs outputs_;
  std::vector<ArrangedTokens> inputs_;
  std::map<std::pair<TokenIds, std::vector<int32_t>>, size_t> rows_;
};

at::Tensor EncoderPredictor::logits(const at::Tensor&) const {
  user_error("an encoder cannot be scored on a task that classifies other inputs than texts");
}

EncoderModelPredictor::EncoderModelPredictor(EncoderModel model,
                                             std::optional<int64_t> batch_tokens)
    : model_(std::move(model)),
      batch_tokens_(batch_tokens.value_or(BatchLimits::of(model_.device).tokens)) {}

int64_t EncoderModelPredictor::max_tokens() const {
  const int64_t most = model_.architecture->max_tokens();
  return std::min(most, model_.tokenizer->max_length().value_or(most));
}

std::vector<std::string> EncoderModelPredictor::class_names() const {
  const Json config = model_.architecture->config();
  std::vector<std::string> names;
  const auto labels = config.find("id2label");
  if (labels == config.end() || !labels->is_object()) return names;
  for (int64_t id = 0; id < classes(); ++id) {
    const auto name = labels->find(std::to_string(id));
    names.push_back(name != labels->end() && name->is_string() ? name->get<std::string>() : "");
  }
  return names;
}

at::Tensor EncoderModelPredictor::classify(const std::vector<EncoderText>& texts) const {
  Reader reader(*this, [this](const EncoderBatch& batch) {
    return model_.architecture->classify(model_.weights, batch);
  });
  std::vector<int64_t> rows;
  for (const EncoderText& text : texts)
    rows.push_back(reader.add(text.first, text.second ? &*text.second : nullptr, text.where));
  return reader.rows().index_select(0, at::tensor(rows, at::kLong));
}

at::Tensor EncoderModelPredictor::similarities(const std::vector<EncoderText>& pairs) const {
  Reader reader(*this, [this](const EncoderBatch& batch) {
    return model_.architecture->embed(model_.weights, batch);
  });
  std::vector<int64_t> first, second;
  for (const EncoderText& pair : pairs) {
    ASSAY_CHECK(pair.second.has_value(), "{}: no second text", pair.where);
    first.push_back(reader.add(pair.first, nullptr, pair.where));
    second.push_back(reader.add(*pair.second, nullptr, pair.where));
  }
  at::Tensor embeddings = reader.rows().to(at::kDouble);
  embeddings /= embeddings.norm(2, 1, true);
  const auto of = [&](const std::vector<int64_t>& rows) {
    return embeddings.index_select(0, at::tensor(rows, at::kLong));
  };
  // What is left of rounding in float64 would give equal texts different ranks.
  return (of(first) * of(second)).sum(1).to(at::kFloat).to(at::kDouble);
}

Json EncoderModelPredictor::report() const {
  return {{"inputs", use_.inputs},
          {"tokens", use_.tokens},
          {"max_length", max_tokens()},
          {"too_long", "cut at the end, of two texts the longer one first"},
          {"shortened_inputs", use_.shortened},
          {"dropped_tokens", use_.dropped_tokens}};
}

std::string EncoderModelPredictor::what() const {
  return model_.architecture->config().at("model_type").get<std::string>() + ", an encoder";
}

const EncoderPredictor* as_encoder(const Predictor& predictor) {
  return dynamic_cast<const EncoderPredictor*>(&predictor);
}

}  // namespace assay
