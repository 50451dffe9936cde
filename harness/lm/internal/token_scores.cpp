#include "harness/lm/internal/token_scores.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {
namespace {

// `wanted[i]` is predicted by line `lines[i]` of the logits.
void score_piece(const at::Tensor& logits, const std::vector<int64_t>& lines,
                 const WantedToken* wanted, std::vector<TokenScore>& found) {
  std::vector<int64_t> ids;
  for (size_t i = 0; i < lines.size(); ++i) ids.push_back(wanted[i].token);
  const at::Tensor line = at::tensor(lines, at::kLong).to(logits.device());
  const at::Tensor id = at::tensor(ids, at::kLong).to(logits.device());
  const at::Tensor chosen = logits.reshape({-1}).index_select(0, line * logits.size(1) + id);
  const at::Tensor log_probability = (chosen - logits.logsumexp(1).index_select(0, line)).cpu();
  const at::Tensor first = logits.argmax(1).index_select(0, line).eq(id).cpu();
  for (size_t i = 0; i < lines.size(); ++i)
    found.push_back({log_probability.const_data_ptr<float>()[i], first.const_data_ptr<bool>()[i],
                     wanted[i].sequence});
}

}  // namespace

std::vector<TokenScore> score_tokens(const VocabularyHead& head, const at::Tensor& states,
                                     std::vector<WantedToken> wanted, int64_t most_places) {
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const WantedToken& a, const WantedToken& b) { return a.place < b.place; });
  std::vector<TokenScore> found;
  found.reserve(wanted.size());
  for (size_t begin = 0; begin < wanted.size();) {
    std::vector<int64_t> places, lines;
    for (size_t i = begin; i < wanted.size(); ++i) {
      if (places.empty() || wanted[i].place != places.back()) {
        if (static_cast<int64_t>(places.size()) == most_places) break;
        places.push_back(wanted[i].place);
      }
      lines.push_back(static_cast<int64_t>(places.size()) - 1);
    }
    const at::Tensor chosen =
        states.index_select(0, at::tensor(places, at::kLong).to(states.device()));
    score_piece(head(chosen).to(at::kFloat), lines, wanted.data() + begin, found);
    begin += lines.size();
  }
  return found;
}

void add_scores(const std::vector<TokenScore>& tokens, std::vector<SequenceScore>& scores) {
  for (const TokenScore& token : tokens) {
    SequenceScore& score = scores[token.sequence];
    score.log_likelihood += static_cast<double>(token.log_probability);
    score.greedy = score.greedy && token.first_choice;
  }
}

}  // namespace assay
