#include "harness/model/sequence_to_sequence.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/core/error.h"
#include "harness/model/internal/greedy_rows.h"

namespace assay {

EncoderDecoderCache EncoderDecoderCache::select(const at::Tensor& index) const {
  EncoderDecoderCache chosen;
  chosen.self_attention = self_attention.select(index);
  for (const KvCache::Layer& layer : cross_attention) {
    const at::Tensor rows = index.to(layer.keys.device());
    chosen.cross_attention.push_back(
        {layer.keys.index_select(0, rows), layer.values.index_select(0, rows)});
  }
  return chosen;
}

at::Device device_of(const AnyLanguageModel& any) {
  return std::visit([](const auto& model) { return model.device; }, any);
}

at::Tensor SequenceToSequenceArchitecture::logits(const StateDict& weights,
                                                  const at::Tensor& ids) const {
  if (ids.dim() != 2)
    data_error("a language model takes ids of shape [rows, tokens], found {}",
               shape_text(ids.sizes()));
  const at::Tensor start = at::full({ids.size(0), 1}, start_id(), at::kLong);
  const at::Tensor hidden = decode(weights, start, encode(weights, ids, {}), nullptr);
  return vocabulary_logits(weights, hidden.select(1, 0));
}

std::vector<TokenIds> generate(const SequenceToSequenceArchitecture& model,
                               const StateDict& weights, const std::vector<TokenIds>& texts,
                               const GenerateOptions& options) {
  const c10::NoGradGuard no_gradients;
  const std::vector<TokenIds> starts(texts.size(), {model.start_id()});
  GreedyRows rows(starts, options);
  if (texts.empty() || options.max_new_tokens < 1) return std::move(rows).generated();
  const TokenBatch batch = padded_batch(texts, options.padding);
  EncodedText text = model.encode(weights, batch.ids,
                                  batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor());
  EncoderDecoderCache cache;
  while (!rows.running().empty()) {
    const bool whole = !options.use_cache || cache.self_attention.tokens() == 0;
    const at::Tensor ids = whole ? padded_batch(rows.texts(), Padding::kLeft).ids : rows.last_ids();
    const at::Tensor hidden =
        model.decode(weights, ids, text, options.use_cache ? &cache : nullptr).select(1, -1);
    const size_t before = rows.running().size();
    const at::Tensor remaining =
        int64_tensor(rows.add(most_probable(model.vocabulary_logits(weights, hidden))));
    if (rows.running().size() == before || rows.running().empty()) continue;
    text.states = text.states.index_select(0, remaining.to(text.states.device()));
    if (text.mask.defined()) text.mask = text.mask.index_select(0, remaining);
    if (options.use_cache) cache = cache.select(remaining);
  }
  return std::move(rows).generated();
}

}  // namespace assay
