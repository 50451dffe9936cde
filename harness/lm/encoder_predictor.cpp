#include "harness/lm/encoder_predictor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/lm/encoding.h"
#include "harness/lm/internal/scorer.h"
#include "harness/model/open.h"

namespace assay {

/// Distinct inputs, which the model computes in batches: one row of values per input.
class EncoderModelPredictor::BatchedInputs {
 public:
  BatchedInputs(const EncoderModelPredictor& predictor, BatchFunction outputs)
      : predictor_(predictor), model_(predictor.model_), outputs_(std::move(outputs)) {}

  /// Index of the input's row.
  int64_t add(const std::string& first, const std::string* second, const std::string& where) {
    TokenizedInput tokens =
        encode_input(*model_.architecture, *model_.tokenizer, *predictor_.tokens_, first, second,
                     predictor_.max_tokens(), where);
    const auto [it, inserted] = rows_.emplace(std::pair(tokens.ids, tokens.types), inputs_.size());
    if (inserted) {
      Usage& usage = predictor_.usage_;
      usage.truncated += tokens.dropped > 0 ? 1 : 0;
      usage.dropped_tokens += tokens.dropped;
      inputs_.push_back(std::move(tokens));
    }
    return static_cast<int64_t>(it->second);
  }

  /// The response cache's key of an answer of this kind to these inputs.
  std::string key(const std::string& kind, const std::vector<int64_t>& inputs) const {
    Hasher hasher;
    hasher.text(kind);
    for (const int64_t index : inputs) {
      const auto& [ids, types, unused] = input(index);
      hasher.number(ids.size());
      hasher.bytes(ids.data(), ids.size() * sizeof(TokenId));
      hasher.bytes(types.data(), types.size() * sizeof(int32_t));
    }
    return hasher.hex();
  }

  /// Float32 [inputs, values] on the CPU, computed for the inputs that are `wanted`.
  at::Tensor rows(const std::set<int64_t>& wanted) const {
    const c10::NoGradGuard no_gradients;
    std::vector<int64_t> order(wanted.begin(), wanted.end());
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return input(a).ids.size() > input(b).ids.size();
    });
    Progress progress("encoding texts", static_cast<int64_t>(order.size()));
    std::vector<at::Tensor> parts;
    for (size_t begin = 0; begin < order.size();) {
      const auto width = static_cast<int64_t>(input(order[begin]).ids.size());
      const auto left = static_cast<int64_t>(order.size() - begin);
      int64_t& budget = predictor_.batch_tokens_;
      const int64_t count = std::clamp<int64_t>(budget / width, 1, left);
      try {
        parts.push_back(outputs_(batch_of(&order[begin], count, width)).to(at::kFloat).cpu());
      } catch (const c10::OutOfMemoryError&) {
        if (count == 1) throw;
        budget = count / 2 * width;
        log_info("out of device memory: continuing with batches of {} tokens", budget);
        continue;
      }
      for (size_t end = begin + static_cast<size_t>(count); begin < end; ++begin)
        predictor_.usage_.tokens += static_cast<int64_t>(input(order[begin]).ids.size());
      predictor_.usage_.inputs += count;
      counters::examples += count;
      progress.advance(count);
    }
    const at::Tensor sorted = at::cat(parts);
    at::Tensor rows = at::zeros({static_cast<int64_t>(inputs_.size()), sorted.size(1)});
    return rows.index_copy_(0, at::tensor(order, at::kLong), sorted);
  }

 private:
  const TokenizedInput& input(int64_t index) const { return inputs_[static_cast<size_t>(index)]; }

  EncoderBatch batch_of(const int64_t* order, int64_t count, int64_t width) const {
    at::Tensor ids = at::zeros({count, width}, at::kLong), types = at::zeros_like(ids);
    at::Tensor mask = at::zeros({count, width}, at::kBool);
    for (int64_t row = 0; row < count; ++row) {
      const TokenizedInput& tokens = input(order[row]);
      std::copy(tokens.ids.begin(), tokens.ids.end(), ids.data_ptr<int64_t>() + row * width);
      std::copy(tokens.types.begin(), tokens.types.end(), types.data_ptr<int64_t>() + row * width);
      std::fill_n(mask.data_ptr<bool>() + row * width, tokens.ids.size(), true);
    }
    const bool padded = input(order[count - 1]).ids.size() < static_cast<size_t>(width);
    return {ids.to(model_.device), types.to(model_.device),
            padded ? mask.to(model_.device) : at::Tensor()};
  }

  const EncoderModelPredictor& predictor_;
  const EncoderModel& model_;
  BatchFunction outputs_;
  std::vector<TokenizedInput> inputs_;
  std::map<std::pair<TokenIds, std::vector<int32_t>>, size_t> rows_;
};

at::Tensor EncoderPredictor::logits(const at::Tensor&) const {
  user_error("an encoder cannot be scored on a task whose inputs are not texts");
}

EncoderModelPredictor::EncoderModelPredictor(EncoderModel model,
                                             std::optional<int64_t> batch_tokens,
                                             std::shared_ptr<TokenCache> tokens)
    : model_(std::move(model)),
      batch_tokens_(batch_tokens.value_or(BatchLimits::of(model_.device).tokens)),
      tokens_(std::move(tokens)),
      cache_(response_cache_for(model_.weights_hash,
                                computation_hash(*model_.architecture, model_.tokenizer.get()),
                                model_.weights, model_.device)) {}

at::Tensor EncoderModelPredictor::inputs_of(const std::vector<Query>& queries, size_t which) {
  std::vector<int64_t> inputs;
  for (const Query& query : queries) inputs.push_back(query.inputs.at(which));
  return at::tensor(inputs, at::kLong);
}

int64_t EncoderModelPredictor::max_tokens() const {
  return max_input_tokens(*model_.architecture, *model_.tokenizer);
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

at::Tensor EncoderModelPredictor::answers(const BatchedInputs& batched, const std::string& kind,
                                          const std::vector<Query>& queries,
                                          const OutputFunction& output) const {
  std::vector<std::string> keys;
  std::map<std::string, std::vector<double>> found;
  std::vector<Query> pending;  // without duplicates
  std::vector<std::string> pending_keys;
  std::set<int64_t> inputs;
  for (const Query& query : queries) {
    keys.push_back(batched.key(kind, query.inputs));
    if (!found.try_emplace(keys.back()).second) continue;
    if (const Json* cached = cache_.find(keys.back())) {
      found[keys.back()] = cached->get<std::vector<double>>();
      ++usage_.cached;
      continue;
    }
    pending.push_back(query);
    pending_keys.push_back(keys.back());
    inputs.insert(query.inputs.begin(), query.inputs.end());
  }
  if (!pending.empty()) {
    const at::Tensor computed = output(batched.rows(inputs), pending).to(at::kDouble).contiguous();
    const double* begin = computed.const_data_ptr<double>();
    for (size_t i = 0; i < pending.size(); ++i, begin += computed.size(1)) {
      const double* end = begin + computed.size(1);
      found[pending_keys[i]].assign(begin, end);
      if (std::all_of(begin, end, [](double value) { return std::isfinite(value); }))
        cache_.put(pending_keys[i], found[pending_keys[i]], *pending[i].where);
    }
    cache_.save();
  }
  std::vector<at::Tensor> rows;
  for (const std::string& key : keys) rows.push_back(at::tensor(found.at(key), at::kDouble));
  return at::stack(rows);
}

at::Tensor EncoderModelPredictor::rows_of_texts(const std::string& kind,
                                                const std::vector<EncoderText>& texts,
                                                const BatchFunction& outputs) const {
  BatchedInputs batched(*this, outputs);
  std::vector<Query> queries;
  for (const EncoderText& text : texts) {
    const std::string* second = text.second ? &*text.second : nullptr;
    queries.push_back({{batched.add(text.first, second, text.where)}, &text.where});
  }
  const OutputFunction scores = [](const at::Tensor& rows, const std::vector<Query>& pending) {
    return rows.index_select(0, inputs_of(pending, 0));
  };
  return answers(batched, kind, queries, scores);
}

at::Tensor EncoderModelPredictor::classify(const std::vector<EncoderText>& texts) const {
  const BatchFunction outputs = [this](const EncoderBatch& batch) {
    return model_.architecture->classify(model_.weights, batch);
  };
  return rows_of_texts("classes", texts, outputs).to(at::kFloat);
}

at::Tensor EncoderModelPredictor::embeddings(const std::vector<EncoderText>& texts) const {
  return rows_of_texts("embedding", texts, [this](const EncoderBatch& batch) {
    return model_.architecture->embed(model_.weights, batch);
  });
}

at::Tensor EncoderModelPredictor::similarities(const std::vector<EncoderText>& pairs) const {
  BatchedInputs batched(*this, [this](const EncoderBatch& batch) {
    return model_.architecture->embed(model_.weights, batch);
  });
  std::vector<Query> queries;
  for (const EncoderText& pair : pairs) {
    ASSAY_CHECK(pair.second.has_value(), "{}: no second text", pair.where);
    const int64_t first = batched.add(pair.first, nullptr, pair.where);
    queries.push_back({{first, batched.add(*pair.second, nullptr, pair.where)}, &pair.where});
  }
  const OutputFunction cosines = [](const at::Tensor& rows, const std::vector<Query>& pending) {
    at::Tensor embeddings = rows.to(at::kDouble);
    embeddings /= embeddings.norm(2, 1, true);
    const at::Tensor first = embeddings.index_select(0, inputs_of(pending, 0));
    const at::Tensor second = embeddings.index_select(0, inputs_of(pending, 1));
    // Rounded to float32, as float64 rounding errors would give equal similarities different ranks.
    return (first * second).sum(1, true).to(at::kFloat);
  };
  return answers(batched, "similarity", queries, cosines).squeeze(1);
}

Json EncoderModelPredictor::report() const {
  return {{"inputs", usage_.inputs},
          {"tokens", usage_.tokens},
          {"known_answers", usage_.cached},
          {"max_length", max_tokens()},
          {"too_long", "cut at the end, of two texts the longer one first"},
          {"shortened_inputs", usage_.truncated},
          {"dropped_tokens", usage_.dropped_tokens}};
}

std::string EncoderModelPredictor::what() const {
  return model_.architecture->config().at("model_type").get<std::string>() + ", an encoder";
}

const EncoderPredictor* as_encoder(const Predictor& predictor) {
  return dynamic_cast<const EncoderPredictor*>(&predictor);
}

}  // namespace assay
