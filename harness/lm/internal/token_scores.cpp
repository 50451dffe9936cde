#include "harness/lm/internal/token_scores.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {
namespace {

// Row `rows[i]` of the logits predicts `targets[i]`.
void score_chunk(const at::Tensor& logits, const std::vector<int64_t>& rows,
                 const TargetToken* targets, std::vector<TokenScore>& found) {
  std::vector<int64_t> ids;
  for (size_t i = 0; i < rows.size(); ++i) ids.push_back(targets[i].token);
  const at::Tensor row = at::tensor(rows, at::kLong).to(logits.device());
  const at::Tensor id = at::tensor(ids, at::kLong).to(logits.device());
  const at::Tensor chosen = logits.reshape({-1}).index_select(0, row * logits.size(1) + id);
  const at::Tensor log_probability = (chosen - logits.logsumexp(1).index_select(0, row)).cpu();
  const at::Tensor first = logits.argmax(1).index_select(0, row).eq(id).cpu();
  for (size_t i = 0; i < rows.size(); ++i)
    found.push_back({log_probability.const_data_ptr<float>()[i], first.const_data_ptr<bool>()[i],
                     targets[i].sequence});
}

}  // namespace

std::vector<TokenScore> score_tokens(const LanguageModelHead& head, const at::Tensor& states,
                                     std::vector<TargetToken> targets, int64_t max_positions) {
  std::stable_sort(targets.begin(), targets.end(), [](const TargetToken& a, const TargetToken& b) {
    return a.position < b.position;
  });
  std::vector<TokenScore> found;
  found.reserve(targets.size());
  for (size_t begin = 0; begin < targets.size();) {
    std::vector<int64_t> positions, rows;
    for (size_t i = begin; i < targets.size(); ++i) {
      if (positions.empty() || targets[i].position != positions.back()) {
        if (static_cast<int64_t>(positions.size()) == max_positions) break;
        positions.push_back(targets[i].position);
      }
      rows.push_back(static_cast<int64_t>(positions.size()) - 1);
    }
    const at::Tensor chosen =
        states.index_select(0, at::tensor(positions, at::kLong).to(states.device()));
    score_chunk(head(chosen).to(at::kFloat), rows, targets.data() + begin, found);
    begin += rows.size();
  }
  return found;
}

void add_scores(const std::vector<TokenScore>& tokens, std::vector<SequenceScore>& scores) {
  for (const TokenScore& token : tokens) {
    SequenceScore& score = scores[token.sequence];
    score.log_likelihood += static_cast<double>(token.log_probability);
    score.greedy = score.greedy && token.is_argmax;
  }
}

}  // namespace assay
