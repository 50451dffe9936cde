// Pseudo-log-likelihoods: every token of a text is masked in turn.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/encoding.h"
#include "harness/lm/masking.h"

namespace assay {
namespace {

using Scores = std::vector<double>;

/// A text's token that is masked.
struct MaskedRow {
  size_t text;
  int64_t place;
};

/// The rows' log-likelihoods, float64 on the CPU. All texts are of at most `width` tokens.
std::vector<double> score_rows(const EncoderModel& model, const std::vector<TokenizedInput>& texts,
                               const MaskedRow* rows, int64_t count, int64_t width, TokenId mask) {
  at::Tensor ids = at::zeros({count, width}, at::kLong), types = at::zeros_like(ids);
  at::Tensor is_token = at::zeros({count, width}, at::kBool);
  std::vector<int64_t> places, targets;
  bool padded = false;
  for (int64_t i = 0; i < count; ++i) {
    const TokenizedInput& text = texts[rows[i].text];
    std::copy(text.ids.begin(), text.ids.end(), ids.data_ptr<int64_t>() + i * width);
    std::copy(text.types.begin(), text.types.end(), types.data_ptr<int64_t>() + i * width);
    std::fill_n(is_token.data_ptr<bool>() + i * width, text.ids.size(), true);
    padded = padded || static_cast<int64_t>(text.ids.size()) < width;
    ids.data_ptr<int64_t>()[i * width + rows[i].place] = mask;
    places.push_back(i * width + rows[i].place);
    targets.push_back(text.ids[static_cast<size_t>(rows[i].place)]);
  }
  const EncoderBatch batch{ids.to(model.device), types.to(model.device),
                           padded ? is_token.to(model.device) : at::Tensor()};
  const at::Tensor hidden = model.architecture->hidden(model.weights, batch).flatten(0, 1);
  const at::Tensor index = at::tensor(places, at::kLong).to(hidden.device());
  const at::Tensor scores =
      model.architecture->token_logits(model.weights, hidden.index_select(0, index));
  const at::Tensor found =
      at::log_softmax(scores.to(at::kFloat), 1)
          .gather(1, at::tensor(targets, at::kLong).to(scores.device()).unsqueeze(1))
          .to(at::kCPU, at::kDouble)
          .contiguous();
  const double* begin = found.const_data_ptr<double>();
  return {begin, begin + count};
}

}  // namespace

std::vector<Scores> EncoderPredictor::masked_log_likelihoods(
    const std::vector<EncoderText>&) const {
  user_error("this model is {}, without a head for masked tokens", what());
}

std::vector<Scores> EncoderModelPredictor::masked_log_likelihoods(
    const std::vector<EncoderText>& texts) const {
  const c10::NoGradGuard no_gradients;
  if (!model_.architecture->predicts_tokens())
    return EncoderPredictor::masked_log_likelihoods(texts);
  const TokenId mask = mask_id(*model_.tokenizer);
  std::vector<Scores> answers(texts.size());
  std::vector<TokenizedInput> inputs;
  std::vector<std::string> keys;
  std::vector<MaskedRow> rows;
  for (size_t i = 0; i < texts.size(); ++i) {
    inputs.push_back(encode_input(*model_.architecture, *model_.tokenizer, *tokens_, texts[i].first,
                                  nullptr, max_tokens(), texts[i].where));
    const TokenizedInput& input = inputs.back();
    const TextSpan span = text_span(*model_.tokenizer, input);
    if (span.count < 1) data_error("{}: the text has no tokens", texts[i].where);
    usage_.truncated += input.dropped > 0 ? 1 : 0;
    usage_.dropped_tokens += input.dropped;
    Hasher hasher;
    hasher.text("masked").number(input.ids.size());
    hasher.bytes(input.ids.data(), input.ids.size() * sizeof(TokenId));
    keys.push_back(hasher.hex());
    if (const Json* cached = cache_.find(keys.back())) {
      answers[i] = cached->get<Scores>();
      ++usage_.cached;
      continue;
    }
    for (int64_t k = 0; k < span.count; ++k) rows.push_back({i, span.first + k});
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const MaskedRow& a, const MaskedRow& b) {
    return inputs[a.text].ids.size() > inputs[b.text].ids.size();
  });
  Progress progress("predicting masked tokens", static_cast<int64_t>(rows.size()));
  for (size_t begin = 0; begin < rows.size();) {
    const auto width = static_cast<int64_t>(inputs[rows[begin].text].ids.size());
    const int64_t count =
        std::clamp<int64_t>(batch_tokens_ / width, 1, static_cast<int64_t>(rows.size() - begin));
    try {
      // A text's rows are in the order of its tokens.
      const Scores found = score_rows(model_, inputs, &rows[begin], count, width, mask);
      for (size_t k = 0; k < found.size(); ++k) {
        const size_t text = rows[begin + k].text;
        answers[text].push_back(found[k]);
        usage_.tokens += static_cast<int64_t>(inputs[text].ids.size());
      }
    } catch (const c10::OutOfMemoryError&) {
      if (count == 1) throw;
      batch_tokens_ = count / 2 * width;
      log_info("out of device memory: continuing with batches of {} tokens", batch_tokens_);
      continue;
    }
    begin += static_cast<size_t>(count);
    usage_.inputs += count;
    counters::examples += count;
    progress.advance(count);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool finite = std::all_of(answers[i].begin(), answers[i].end(),
                                    [](double value) { return std::isfinite(value); });
    if (finite && !cache_.find(keys[i])) cache_.put(keys[i], answers[i], texts[i].where);
  }
  cache_.save();
  return answers;
}

std::vector<Scores> EncoderEnsemble::masked_log_likelihoods(
    const std::vector<EncoderText>& texts) const {
  if (rule_ != EnsembleRule::kUsual && rule_ != EnsembleRule::kProbabilities)
    user_error("masked tokens are predicted by the mean of probabilities, not by {}",
               ensemble_rule_name(rule_));
  std::vector<std::vector<Scores>> all;
  for (const auto& member : members_) all.push_back(member->masked_log_likelihoods(texts));
  std::vector<Scores> means = all.front();
  for (size_t i = 0; i < texts.size(); ++i)
    for (size_t k = 0; k < means[i].size(); ++k) {
      double sum = 0;
      for (const auto& of_member : all) {
        if (of_member[i].size() != means[i].size())
          data_error("{}: the experts of an ensemble divide the text into {} and {} tokens",
                     texts[i].where, means[i].size(), of_member[i].size());
        sum += std::exp(of_member[i][k]);
      }
      means[i][k] = std::log(sum / static_cast<double>(all.size()));
    }
  return means;
}

}  // namespace assay
