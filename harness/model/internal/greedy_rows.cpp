#include "harness/model/internal/greedy_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"

namespace assay {

at::Tensor int64_tensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

std::vector<int64_t> most_probable(const at::Tensor& logits) {
  const auto [best, ids] = logits.max(-1);
  if (!at::isfinite(best).all().item<bool>()) data_error("the model's logits are not finite");
  const at::Tensor chosen = ids.cpu();
  return {chosen.data_ptr<int64_t>(), chosen.data_ptr<int64_t>() + chosen.numel()};
}

GreedyRows::GreedyRows(const std::vector<TokenIds>& prompts, const GenerateOptions& options)
    : options_(options), prompts_(prompts), generated_(prompts.size()) {
  for (size_t row = 0; row < prompts.size(); ++row) running_.push_back(row);
}

std::vector<TokenIds> GreedyRows::texts(int64_t skipped) const {
  std::vector<TokenIds> all;
  for (const size_t row : running_) {
    const TokenIds& prompt = prompts_[row];
    const auto prompt_size = static_cast<int64_t>(prompt.size());
    all.emplace_back(prompt.begin() + std::min(skipped, prompt_size), prompt.end());
    all.back().insert(all.back().end(), generated_[row].begin(), generated_[row].end());
  }
  return all;
}

std::vector<int64_t> GreedyRows::lengths() const {
  std::vector<int64_t> all;
  for (const size_t row : running_)
    all.push_back(static_cast<int64_t>(prompts_[row].size() + generated_[row].size()));
  return all;
}

at::Tensor GreedyRows::last_ids() const {
  std::vector<int64_t> ids;
  for (const size_t row : running_) ids.push_back(generated_[row].back());
  return int64_tensor(ids).unsqueeze(1);
}

at::Tensor GreedyRows::last_positions() const {
  return int64_tensor(lengths()).sub_(1).unsqueeze(1);
}

std::vector<int64_t> GreedyRows::add(const std::vector<int64_t>& ids) {
  std::vector<int64_t> indices;
  std::vector<size_t> remaining;
  for (size_t index = 0; index < running_.size(); ++index) {
    const size_t row = running_[index];
    const auto id = static_cast<TokenId>(ids[index]);
    generated_[row].push_back(id);
    if (ended(row, id)) continue;
    indices.push_back(static_cast<int64_t>(index));
    remaining.push_back(row);
  }
  running_ = std::move(remaining);
  return indices;
}

bool GreedyRows::ended(size_t row, TokenId id) const {
  const TokenIds& stops = options_.stop_ids;
  return static_cast<int64_t>(generated_[row].size()) >= options_.max_new_tokens ||
         std::find(stops.begin(), stops.end(), id) != stops.end() ||
         (options_.stop && options_.stop(row, generated_[row]));
}

}  // namespace assay
