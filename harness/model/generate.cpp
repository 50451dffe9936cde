#include "harness/model/generate.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/model/internal/greedy_rows.h"

namespace assay {
namespace {

/// The ids of the most probable token after the last one of every row; `last` is its index.
std::vector<int64_t> choose(const LanguageArchitecture& model, const StateDict& weights,
                            const at::Tensor& hidden, const std::vector<int64_t>& last) {
  const at::Tensor rows = at::arange(hidden.size(0), hidden.options().dtype(at::kLong));
  const at::Tensor ends = hidden.index({rows, int64_tensor(last).to(hidden.device())});
  return most_probable(model.vocabulary_logits(weights, ends));
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

/// Whether what a cache holds serves every row: its first `held` tokens, 0 for all but the last.
bool can_extend(const LanguageArchitecture& model, const GreedyRows& rows, int64_t held) {
  const std::vector<int64_t> lengths = rows.lengths();
  return std::all_of(lengths.begin(), lengths.end(), [&](int64_t length) {
    return model.can_extend(held > 0 ? held : length - 1, length);
  });
}

/// A cache of the prefix for every row; empty when there is none or it is of no use.
KvCache start_of(const LanguageArchitecture& model, const GreedyRows& rows,
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
  at::Tensor seen;
  if (shortest < longest) {
    batch.positions = at::zeros({rows, tokens}, at::kLong);
    seen = at::zeros({rows, cached + tokens}, at::kBool);
    seen.narrow(1, 0, cached).fill_(true);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const TokenIds& text = texts[static_cast<size_t>(row)];
    const auto length = static_cast<int64_t>(text.size());
    const int64_t first = padding == Padding::kLeft ? tokens - length : 0;
    const std::vector<int64_t> ids(text.begin(), text.end());
    batch.ids[row].narrow(0, first, length).copy_(int64_tensor(ids));
    if (!seen.defined()) continue;
    batch.positions[row].narrow(0, first, length).copy_(at::arange(cached, cached + length));
    seen[row].narrow(0, cached + first, length).fill_(true);
  }
  if (seen.defined()) batch.mask = seen.unsqueeze(1).expand({rows, tokens, cached + tokens});
  return batch;
}

std::vector<TokenIds> generate(const LanguageArchitecture& model, const StateDict& weights,
                               const std::vector<TokenIds>& prompts,
                               const GenerateOptions& options) {
  const c10::NoGradGuard no_gradients;
  GreedyRows rows(prompts, options);
  if (prompts.empty() || options.max_new_tokens < 1) return std::move(rows).generated();
  KvCache cache = start_of(model, rows, options);
  TokenBatch batch;
  at::Tensor seen;      // bool [rows, cached]: the tokens that are no padding
  bool reading = true;  // texts, not just the tokens written last
  while (!rows.running().empty()) {
    if (!reading && !(options.use_cache && can_extend(model, rows, 0))) {
      cache = {};
      reading = true;
    }
    std::vector<int64_t> last;
    if (reading) {
      const std::vector<TokenIds> texts = rows.texts(cache.tokens());
      batch = padded_batch(texts, options.padding, cache.tokens());
      last = last_tokens(texts, batch, options.padding);
      seen = batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor();
      reading = false;
    } else {
      batch = {rows.last_ids(), rows.last_positions()};
      if (seen.defined()) {
        seen = at::cat({seen, at::ones({seen.size(0), 1}, at::kBool)}, 1);
        batch.mask = seen.unsqueeze(1);
      }
      last.assign(rows.running().size(), 0);
    }
    const at::Tensor hidden = model.hidden(weights, batch, options.use_cache ? &cache : nullptr);
    const size_t before = rows.running().size();
    const at::Tensor still = int64_tensor(rows.add(choose(model, weights, hidden, last)));
    if (rows.running().size() == before || rows.running().empty()) continue;
    if (options.use_cache) cache = cache.select(still);
    if (seen.defined()) seen = seen.index_select(0, still);
  }
  return std::move(rows).generated();
}

}  // namespace assay
