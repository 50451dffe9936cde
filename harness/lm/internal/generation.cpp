#include "harness/lm/internal/generation.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

#include "harness/core/error.h"
#include "harness/model/generate.h"

namespace assay {
namespace {

bool contains_stop(const std::string& text, const std::vector<std::string>& stops) {
  return std::any_of(stops.begin(), stops.end(), [&](const std::string& stop) {
    return !stop.empty() && text.find(stop) != std::string::npos;
  });
}

bool is_end(const Tokenizer& tokenizer, TokenId id) {
  const TokenIds ids = tokenizer.end_ids();
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool stopped(const Tokenizer& tokenizer, const GenerationRequest& request,
             const TokenIds& generated) {
  return is_end(tokenizer, generated.back()) ||
         (!request.stop.empty() && contains_stop(tokenizer.decode(generated, false), request.stop));
}

Generation to_generation(const Tokenizer& tokenizer, const GenerationRequest& request,
                         const TokenIds& generated, int64_t dropped) {
  TokenIds text = generated;
  if (is_end(tokenizer, text.back())) text.pop_back();  // not every end token is special
  return {cut_at_stops(tokenizer.decode(text, true), request.stop),
          static_cast<int64_t>(generated.size()), stopped(tokenizer, request, generated), dropped};
}

// The longest common prefix of the texts, each without its last token.
TokenIds shared_prefix(const std::vector<TokenIds>& texts) {
  const TokenIds& first = texts.front();
  auto end = first.end() - 1;
  for (const TokenIds& text : texts)
    end = std::mismatch(first.begin(), end, text.begin(), text.end() - 1).first;
  return {first.begin(), end};
}

/// Prefix cache: the KV cache of the prefix that a batch's prompts share, reused by the next
/// batches while the prefix stays the same.
class SharedPrefix {
 public:
  /// `texts` is not empty. Null when their common prefix is too short to be worth caching.
  const KvCache* of(const LanguageModel& model, const std::vector<TokenIds>& texts,
                    const BatchLimits& limits) {
    TokenIds shared = shared_prefix(texts);
    const size_t longest = std::max_element(texts.begin(), texts.end(), [](auto& a, auto& b) {
                             return a.size() < b.size();
                           })->size();
    if (texts.size() == 1 || shared.size() < limits.packing.prefix_tokens ||
        !model.architecture->can_extend(1, static_cast<int64_t>(longest)))
      return nullptr;
    if (shared != ids_) {
      cache_ = prefix_cache(model, shared, limits.tokens);
      ids_ = std::move(shared);
    }
    return &cache_;
  }
  /// No prefix cache: an encoder's hidden states depend on the whole text.
  static const KvCache* of(const SequenceToSequenceModel&, const std::vector<TokenIds>&,
                           const BatchLimits&) {
    return nullptr;
  }

 private:
  TokenIds ids_;
  KvCache cache_;
};

/// `where`: of the first request.
template <typename Model>
std::vector<TokenIds> generate_batch(const Model& model, const std::vector<TokenIds>& texts,
                                     const GenerateOptions& options, const std::string& where) {
  try {
    return generate(*model.architecture, model.weights, texts, options);
  } catch (const DataError& e) {
    if (texts.size() == 1) data_error("{}: {}", where, e.what());
    data_error("{}, or one of {} requests answered with it: {}", where, texts.size() - 1, e.what());
  }
}

template <typename Model>
std::vector<Generation> generate_in_batches(const Model& model,
                                            const std::vector<GenerationRequest>& requests,
                                            const std::vector<ScoredSequence>& prompts,
                                            const BatchLimits& limits,
                                            const GenerationProgress& progress) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto final_length = [&](size_t i) {
    return static_cast<int64_t>(prompts[i].tokens.size()) + requests[i].max_tokens;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return final_length(a) > final_length(b); });

  std::vector<Generation> out(requests.size());
  SharedPrefix prefix;
  int64_t max_cached_tokens = limits.cached_tokens;
  for (size_t begin = 0; begin < order.size();) {
    const auto rows =
        static_cast<size_t>(std::max<int64_t>(1, max_cached_tokens / final_length(order[begin])));
    const size_t end = std::min(order.size(), begin + rows);
    const auto request_of = [&](size_t row) -> const GenerationRequest& {
      return requests[order[begin + row]];
    };
    std::vector<TokenIds> texts;
    GenerateOptions options;
    options.max_new_tokens = 0;
    for (size_t row = 0; begin + row < end; ++row) {
      texts.push_back(prompts[order[begin + row]].tokens);
      options.max_new_tokens = std::max(options.max_new_tokens, request_of(row).max_tokens);
    }
    options.stop = [&](size_t row, const TokenIds& generated) {
      return static_cast<int64_t>(generated.size()) == request_of(row).max_tokens ||
             stopped(*model.tokenizer, request_of(row), generated);
    };

    std::vector<TokenIds> generated;
    try {
      options.prefix = prefix.of(model, texts, limits);
      generated = generate_batch(model, texts, options, request_of(0).where);
    } catch (const c10::OutOfMemoryError&) {
      if (texts.size() == 1) throw;
      max_cached_tokens = static_cast<int64_t>(texts.size() / 2) * final_length(order[begin]);
      continue;
    }
    int64_t tokens = 0;
    for (size_t row = 0; row < generated.size(); ++row) {
      const size_t i = order[begin + row];
      out[i] = to_generation(*model.tokenizer, requests[i], generated[row], prompts[i].dropped);
      tokens += out[i].tokens;
    }
    if (progress) progress(static_cast<int64_t>(end - begin), tokens);
    begin = end;
  }
  return out;
}

}  // namespace

std::string cut_at_stops(std::string text, const std::vector<std::string>& stops) {
  for (const std::string& stop : stops)
    if (!stop.empty()) text = text.substr(0, text.find(stop));
  return text;
}

std::vector<Generation> generate_greedily(const LanguageModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress) {
  return generate_in_batches(model, requests, prompts, limits, progress);
}

std::vector<Generation> generate_greedily(const SequenceToSequenceModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress) {
  return generate_in_batches(model, requests, prompts, limits, progress);
}

}  // namespace assay
