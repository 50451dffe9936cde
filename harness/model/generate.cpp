#include "harness/model/generate.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/model/internal/greedy_rows.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

/// The most probable next token of every row; `last` is the index of the row's last token.
std::vector<int64_t> next_tokens(const LanguageArchitecture& model, const StateDict& weights,
                                 const at::Tensor& hidden, const std::vector<int64_t>& last) {
  const at::Tensor rows = at::arange(hidden.size(0), hidden.options().dtype(at::kLong));
  const at::Tensor last_states = hidden.index({rows, int64_tensor(last).to(hidden.device())});
  return most_probable(model.vocabulary_logits(weights, last_states));
}

/// Index of the last token of every text in a padded batch.
std::vector<int64_t> last_tokens(const std::vector<TokenIds>& texts, const TokenBatch& batch,
                                 Padding padding) {
  std::vector<int64_t> last;
  for (const TokenIds& text : texts)
    last.push_back(padding == Padding::kLeft ? batch.ids.size(1) - 1
                                             : static_cast<int64_t>(text.size()) - 1);
  return last;
}

/// Whether a cache of the first `cached` tokens is valid for every row; 0: of all but the last.
bool can_extend(const LanguageArchitecture& model, const GreedyRows& rows, int64_t cached) {
  const std::vector<int64_t> lengths = rows.lengths();
  return std::all_of(lengths.begin(), lengths.end(), [&](int64_t length) {
    return model.can_extend(cached > 0 ? cached : length - 1, length);
  });
}

/// The prefix cache repeated for every row; empty when there is none or it is not valid.
KvCache prefix_rows(const LanguageArchitecture& model, const GreedyRows& rows,
                    const GenerateOptions& options) {
  const KvCache* prefix = options.use_cache ? options.prefix : nullptr;
  if (!prefix || prefix->tokens() == 0 || !can_extend(model, rows, prefix->tokens())) return {};
  return prefix->select(at::zeros({static_cast<int64_t>(rows.running().size())}, at::kLong));
}

}  // namespace

TokenBatch padded_batch(const std::vector<TokenIds>& texts, Padding padding, int64_t cached) {
  size_t longest = 0, shortest = SIZE_MAX;
  for (const TokenIds& text : texts) {
    longest = std::max(longest, text.size());
    shortest = std::min(shortest, text.size());
  }
  if (texts.empty() || shortest == 0) user_error("a model cannot read a text without tokens");
  const auto rows = static_cast<int64_t>(texts.size()), tokens = static_cast<int64_t>(longest);
  TokenBatch batch{at::zeros({rows, tokens}, at::kLong)};
  at::Tensor key_mask;
  if (shortest < longest) {
    batch.positions = at::zeros({rows, tokens}, at::kLong);
    key_mask = at::zeros({rows, cached + tokens}, at::kBool);
    key_mask.narrow(1, 0, cached).fill_(true);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const TokenIds& text = texts[static_cast<size_t>(row)];
    const auto length = static_cast<int64_t>(text.size());
    const int64_t first = padding == Padding::kLeft ? tokens - length : 0;
    const std::vector<int64_t> ids(text.begin(), text.end());
    batch.ids[row].narrow(0, first, length).copy_(int64_tensor(ids));
    if (!key_mask.defined()) continue;
    batch.positions[row].narrow(0, first, length).copy_(at::arange(cached, cached + length));
    key_mask[row].narrow(0, cached + first, length).fill_(true);
  }
  if (key_mask.defined())
    batch.mask = key_mask.unsqueeze(1).expand({rows, tokens, cached + tokens});
  return batch;
}

std::vector<TokenIds> generate(const LanguageArchitecture& model, const StateDict& weights,
                               const std::vector<TokenIds>& prompts,
                               const GenerateOptions& options) {
  const c10::NoGradGuard no_gradients;
  GreedyRows rows(prompts, options);
  if (prompts.empty() || options.max_new_tokens < 1) return std::move(rows).generated();
  KvCache cache = prefix_rows(model, rows, options);
  TokenBatch batch;
  at::Tensor key_mask;  // bool [rows, cached], false at padding
  bool prefill = true;  // whole texts, not just the last token of each
  while (!rows.running().empty()) {
    if (!prefill && !(options.use_cache && can_extend(model, rows, 0))) {
      cache = {};
      prefill = true;
    }
    std::vector<int64_t> last;
    at::Tensor counted;  // all but padding
    if (prefill) {
      const std::vector<TokenIds> texts = rows.texts(cache.tokens());
      batch = padded_batch(texts, options.padding, cache.tokens());
      last = last_tokens(texts, batch, options.padding);
      key_mask = batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor();
      if (key_mask.defined()) counted = key_mask.narrow(1, cache.tokens(), batch.ids.size(1));
      prefill = false;
    } else {
      batch = {rows.last_ids(), rows.last_positions()};
      if (key_mask.defined()) {
        key_mask = at::cat({key_mask, at::ones({key_mask.size(0), 1}, at::kBool)}, 1);
        batch.mask = key_mask.unsqueeze(1);
      }
      last.assign(rows.running().size(), 0);
    }
    at::Tensor hidden;
    {
      const CountedTokens these(counted);
      hidden = model.hidden(weights, batch, options.use_cache ? &cache : nullptr);
    }
    const size_t before = rows.running().size();
    const at::Tensor remaining = int64_tensor(rows.add(next_tokens(model, weights, hidden, last)));
    if (rows.running().size() == before || rows.running().empty()) continue;
    if (options.use_cache) cache = cache.select(remaining);
    if (key_mask.defined()) key_mask = key_mask.index_select(0, remaining);
  }
  return std::move(rows).generated();
}

}  // namespace assay
