#include "harness/lm/generation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>

#include "harness/core/error.h"

namespace assay {
namespace {

/// What is known of one request while it runs.
struct Running {
  size_t request;
  TokenIds prompt;  // without the prefix that the batch shares
  TokenIds made{};
  bool stopped = false;
};

bool holds_stop(const std::string& text, const std::vector<std::string>& stops) {
  return std::any_of(stops.begin(), stops.end(), [&](const std::string& stop) {
    return !stop.empty() && text.find(stop) != std::string::npos;
  });
}

/// Rows that generate together. Prompts are padded on the left, after the prefix.
class GenerationBatch {
 public:
  GenerationBatch(const LanguageModel& model, const std::vector<GenerationRequest>& requests,
                  std::vector<Running> rows, const KvCache& prefix, std::vector<Generation>& out)
      : model_(model), requests_(requests), rows_(std::move(rows)), out_(out) {
    options_ = at::TensorOptions().dtype(at::kLong);
    if (prefix.tokens() > 0)
      cache_ = prefix.select(at::zeros({count()}, options_).to(model_.device));
    prefix_ = prefix.tokens();
  }

  // Returns how many tokens were made.
  int64_t run() {
    int64_t made = 0;
    at::Tensor logits = read_prompts();
    while (true) {
      const at::Tensor next = logits.argmax(1).cpu();
      made += count();
      const std::vector<int64_t> going = take(next);
      if (going.empty()) return made;
      if (static_cast<int64_t>(going.size()) < count()) keep(going);
      logits = step();
    }
  }

 private:
  int64_t count() const { return static_cast<int64_t>(rows_.size()); }

  at::Tensor read_prompts() {
    int64_t width = 0;
    for (const Running& row : rows_)
      width = std::max(width, static_cast<int64_t>(row.prompt.size()));
    at::Tensor ids = at::zeros({count(), width}, options_);
    at::Tensor positions = at::full({count(), width}, prefix_, options_);
    visible_ = at::ones({count(), prefix_ + width}, at::kBool);
    for (int64_t i = 0; i < count(); ++i) {
      const TokenIds& prompt = rows_[static_cast<size_t>(i)].prompt;
      const auto size = static_cast<int64_t>(prompt.size());
      const int64_t pad = width - size;
      visible_.select(0, i).narrow(0, prefix_, pad).fill_(false);
      for (int64_t t = 0; t < size; ++t) {
        ids[i][pad + t] = prompt[static_cast<size_t>(t)];
        positions[i][pad + t] = prefix_ + t;
      }
    }
    // A token sees what is visible up to itself, and itself: padding must see something.
    const at::Tensor order = at::arange(prefix_ + width, options_);
    const at::Tensor own = order.narrow(0, prefix_, width).unsqueeze(1);
    const at::Tensor mask = visible_.unsqueeze(1)
                                .logical_and(order.unsqueeze(0).le(own))
                                .logical_or(order.unsqueeze(0).eq(own));
    positions_ = positions.narrow(1, width - 1, 1).clone();
    return forward({ids, positions, mask});
  }

  at::Tensor step() {
    at::Tensor ids = at::zeros({count(), 1}, options_);
    for (int64_t i = 0; i < count(); ++i) ids[i][0] = rows_[static_cast<size_t>(i)].made.back();
    positions_.add_(1);
    visible_ = at::cat({visible_, at::ones({count(), 1}, at::kBool)}, 1);
    return forward({ids, positions_, visible_.unsqueeze(1)});
  }

  // Scores of the vocabulary after each row's last token.
  at::Tensor forward(TokenBatch batch) {
    batch.ids = batch.ids.to(model_.device);
    batch.positions = batch.positions.to(model_.device);
    batch.mask = batch.mask.to(model_.device);
    const at::Tensor hidden = model_.architecture->hidden(model_.weights, batch, &cache_);
    at::Tensor logits =
        model_.architecture->vocabulary_logits(model_.weights, hidden.select(1, hidden.size(1) - 1))
            .to(at::kFloat);
    if (!logits.isfinite().all().item<bool>())
      data_error("{}: the model's scores of the next token are not finite",
                 requests_[rows_.front().request].where);
    return logits;
  }

  // Appends the tokens; finished rows are written out. Returns the others.
  std::vector<int64_t> take(const at::Tensor& next) {
    std::vector<int64_t> going;
    for (int64_t i = 0; i < count(); ++i) {
      Running& row = rows_[static_cast<size_t>(i)];
      const GenerationRequest& request = requests_[row.request];
      const auto token = static_cast<TokenId>(next[i].item<int64_t>());
      row.made.push_back(token);
      row.stopped = token == model_.tokenizer->eos() ||
                    (!request.stop.empty() &&
                     holds_stop(model_.tokenizer->decode(row.made, false), request.stop));
      if (row.stopped || static_cast<int64_t>(row.made.size()) == request.max_tokens)
        finish(row, request);
      else
        going.push_back(i);
    }
    return going;
  }

  void finish(const Running& row, const GenerationRequest& request) {
    Generation& answer = out_[row.request];
    answer.text = cut_at_stops(model_.tokenizer->decode(row.made, true), request.stop);
    answer.tokens = static_cast<int64_t>(row.made.size());
    answer.stopped = row.stopped;
  }

  void keep(const std::vector<int64_t>& going) {
    const at::Tensor index = at::tensor(going, at::kLong);
    cache_ = cache_.select(index.to(model_.device));
    visible_ = visible_.index_select(0, index);
    positions_ = positions_.index_select(0, index);
    std::vector<Running> rows;
    rows.reserve(going.size());
    for (const int64_t i : going) rows.push_back(std::move(rows_[static_cast<size_t>(i)]));
    rows_ = std::move(rows);
  }

  const LanguageModel& model_;
  const std::vector<GenerationRequest>& requests_;
  std::vector<Running> rows_;
  std::vector<Generation>& out_;
  at::TensorOptions options_;
  KvCache cache_;
  int64_t prefix_ = 0;
  at::Tensor visible_;    // bool [rows, tokens so far]: no padding
  at::Tensor positions_;  // [rows, 1], of the last token
};

// All tokens but the last that the prompts begin with.
size_t shared_prefix(const std::vector<ScoredSequence>& prompts, const std::vector<size_t>& order,
                     size_t begin, size_t end) {
  const TokenIds& first = prompts[order[begin]].tokens;
  size_t shared = first.size() - 1;
  for (size_t i = begin + 1; i < end; ++i) {
    const TokenIds& other = prompts[order[i]].tokens;
    const size_t most = std::min(shared, other.size() - 1);
    shared = static_cast<size_t>(
        std::mismatch(first.begin(), first.begin() + static_cast<int64_t>(most), other.begin())
            .first -
        first.begin());
  }
  return shared;
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
                                          const std::function<void(int64_t, int64_t)>& progress) {
  const c10::NoGradGuard no_gradients;
  std::vector<Generation> out(requests.size());
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto final_length = [&](size_t i) {
    return static_cast<int64_t>(prompts[i].tokens.size()) + requests[i].max_tokens;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return final_length(a) > final_length(b); });

  TokenIds prefix;
  KvCache cache;
  for (size_t begin = 0; begin < order.size();) {
    const auto rows = static_cast<size_t>(
        std::max<int64_t>(1, limits.cached_tokens / final_length(order[begin])));
    const size_t end = std::min(order.size(), begin + rows);
    const size_t shared = shared_prefix(prompts, order, begin, end);
    const TokenIds& first = prompts[order[begin]].tokens;
    TokenIds wanted(first.begin(), first.begin() + static_cast<int64_t>(shared));
    if (end == begin + 1 || shared < limits.packing.prefix_tokens) wanted.clear();
    if (wanted != prefix) {
      prefix = std::move(wanted);
      cache = prefix.empty() ? KvCache() : prefix_cache(model, prefix, limits.tokens);
    }
    std::vector<Running> batch;
    for (size_t i = begin; i < end; ++i) {
      const TokenIds& tokens = prompts[order[i]].tokens;
      batch.push_back(
          {order[i], {tokens.begin() + static_cast<int64_t>(prefix.size()), tokens.end()}});
      out[order[i]].dropped = prompts[order[i]].dropped;
    }
    const int64_t made = GenerationBatch(model, requests, std::move(batch), cache, out).run();
    if (progress) progress(static_cast<int64_t>(end - begin), made);
    begin = end;
  }
  return out;
}

}  // namespace assay
