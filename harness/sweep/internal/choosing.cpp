#include "harness/sweep/internal/choosing.h"

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/core/metrics.h"

namespace assay {
namespace {

std::vector<ScoreRecord> primary_scores(const Store& store, const std::string& key) {
  const auto run = store.find_run(key);
  if (!run || run->status != RunStatus::kOk) return {};
  std::vector<ScoreRecord> scores = run->scores;
  std::erase_if(scores, [](const ScoreRecord& score) { return !score.primary; });
  return scores;
}

// By task: the primary score of its own expert, in `relative_to`.
using OwnScores = std::map<std::string, double>;

OwnScores own_scores(const Store& store, const std::map<std::string, std::string>& relative_to) {
  OwnScores own;
  for (const auto& [task, key] : relative_to)
    for (const ScoreRecord& score : primary_scores(store, key))
      if (score.task == task) own[task] = score.value;
  return own;
}

// The primary scores of a run, turned so that more is better; none where it has no result, or where
// they are relative to one that is missing. A task whose denominator is too small decides nothing.
std::vector<double> merits_of(const Store& store, const std::string& key,
                              const std::map<std::string, std::string>& relative_to,
                              const OwnScores& own) {
  std::vector<double> merits;
  for (const ScoreRecord& score : primary_scores(store, key)) {
    if (relative_to.empty()) {
      merits.push_back(merit(score.metric, score.value));
      continue;
    }
    const auto reference = own.find(score.task);
    if (reference == own.end()) return {};
    merits.push_back(relative_score(score.metric, score.value, reference->second).value_or(0));
  }
  return merits;
}

}  // namespace

Choosing::Choosing(const Choice& choice) : choice_(&choice), search_(choice.search()) { ask(); }

Choosing Choosing::replay(const Choice& choice, const Store* store) {
  Choosing choosing(choice);
  const auto is_stored = [&](const PlannedCell& planned) {
    return store->find_run(planned.cell.key()).has_value();
  };
  const auto& relative_to = choice.relative_to;
  if (store && !std::all_of(relative_to.begin(), relative_to.end(), [&](const auto& entry) {
        return store->find_run(entry.second).has_value();
      }))
    return choosing;
  while (store && !choosing.open_.empty() &&
         std::all_of(choosing.open_.begin(), choosing.open_.end(), is_stored))
    choosing.advance(*store);
  return choosing;
}

void Choosing::ask() {
  const Placement placement{choice_->placement.set, choice_->placement.row, "grid"};
  open_.clear();
  do {  // a generation may hold nothing that can be run
    const std::vector<Json> candidates = search_->ask();
    if (candidates.empty()) return;
    for (const Json& candidate : candidates) {
      candidates_.push_back(candidate);
      try {
        open_.push_back({choice_->cell(candidate, Split::kValidation), placement, {}});
        cells_.emplace_back(open_.back());
      } catch (const UserError& e) {
        if (impossible_++ == 0) obstacle_ = e.what();
        cells_.emplace_back();
      }
    }
    asked_ = candidates.size();
    if (open_.empty()) search_->tell(std::vector<std::vector<double>>(asked_));
  } while (open_.empty());
}

void Choosing::advance(const Store& store) {
  std::vector<std::vector<double>> merits;
  const OwnScores own = own_scores(store, choice_->relative_to);
  for (auto cell = cells_.end() - static_cast<ptrdiff_t>(asked_); cell != cells_.end(); ++cell)
    merits.push_back(*cell ? merits_of(store, (*cell)->cell.key(), choice_->relative_to, own)
                           : std::vector<double>{});
  search_->tell(merits);
  ask();
}

std::vector<PlannedCell> Choosing::candidates() const {
  std::vector<PlannedCell> candidates;
  for (const auto& cell : cells_)
    if (cell) candidates.push_back(*cell);
  return candidates;
}

std::vector<Cell> Choosing::test_cells() const {
  std::vector<Cell> cells;
  for (size_t i = 0; i < cells_.size(); ++i)
    if (cells_[i]) cells.push_back(choice_->cell(candidates_[i], Split::kTest));
  return cells;
}

std::optional<PlannedCell> Choosing::winner() const {
  const auto best = search_->best();
  if (!open_.empty() || !best) return std::nullopt;
  return PlannedCell{choice_->cell(candidates_[*best], Split::kTest), choice_->placement, {}};
}

SearchRecord Choosing::record() const {
  const SearchSpec& spec = *choice_->spec;
  SearchRecord record{choice_->placement.set,
                      choice_->placement.row,
                      choice_->seed,
                      spec.algorithm,
                      choice_->budget,
                      spec.seed,
                      {}};
  for (size_t i = 0; i < search_->trials().size(); ++i)
    record.steps.push_back({cells_[i] ? cells_[i]->cell.key() : "", search_->trials()[i].merit()});
  return record;
}

}  // namespace assay
