/// What validation scores decide.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/sweep/plan.h"
#include "harness/sweep/search/search.h"
#include "results/store.h"

namespace assay {

/// A choice while it is made: its search, with candidates as cells and scores from the store. A
/// candidate without a result, and parameters that cannot be used together, count as worst.
class Choosing {
 public:
  explicit Choosing(const Choice& choice);
  /// What the store knows: searches on until a candidate has not been run. Without a store: until
  /// the first candidates.
  static Choosing replay(const Choice& choice, const Store* store);

  const Choice& choice() const { return *choice_; }
  /// The candidates to be run next, as parts of the row's grid; none when the choice is made.
  const std::vector<PlannedCell>& open() const { return open_; }
  /// Takes their scores from the store, and asks for the next ones.
  void advance(const Store& store);
  /// All candidates so far, the open ones included.
  std::vector<PlannedCell> candidates() const;
  /// Those that were scored or are open, on test: what may still win, and what could have.
  std::vector<Cell> test_cells() const;
  /// On test: absent while candidates are open, and when none has a score.
  std::optional<PlannedCell> winner() const;
  /// The search's steps so far. Only for a row's "search".
  SearchRecord record() const;
  /// How many candidates could not be made into cells, and why the first could not.
  int64_t impossible() const { return impossible_; }
  const std::string& obstacle() const { return obstacle_; }

 private:
  void ask();

  const Choice* choice_;
  std::unique_ptr<Search> search_;
  std::vector<Json> candidates_;                   ///< all so far, in order
  std::vector<std::optional<PlannedCell>> cells_;  ///< of each
  std::vector<PlannedCell> open_;
  size_t asked_ = 0;  ///< how many of the last cells are open or impossible
  int64_t impossible_ = 0;
  std::string obstacle_;
};

}  // namespace assay
