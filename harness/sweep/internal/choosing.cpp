#include "harness/sweep/internal/choosing.h"

#include "harness/core/metrics.h"

namespace assay {
namespace {

// The mean primary score over a run's tasks, turned so that more is better; absent when it has
// none.
std::optional<double> mean_merit(const Store& store, const std::string& key) {
  const auto run = store.find_run(key);
  if (!run || run->status != RunStatus::kOk) return std::nullopt;
  double sum = 0;
  int64_t count = 0;
  for (const ScoreRecord& score : run->scores) {
    if (!score.primary) continue;
    sum += merit(score.metric, score.value);
    ++count;
  }
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

}  // namespace

std::optional<size_t> chosen_candidate(const Choice& choice, const Store& store) {
  std::optional<size_t> best;
  double best_score = 0;
  for (size_t i = 0; i < choice.candidates.size(); ++i) {
    const auto score = mean_merit(store, choice.candidates[i].key());
    if (!score || (best && *score <= best_score)) continue;
    best = i;
    best_score = *score;
  }
  return best;
}

}  // namespace assay
