/// A search for parameters: it asks for candidates, is told their scores, and so on until it is
/// over. It is deterministic: the same answers lead to the same questions, so that an interrupted
/// search is replayed from stored scores.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "harness/core/json.h"
#include "harness/sweep/search_spec.h"

namespace assay {

/// A candidate and its scores.
struct Trial {
  Json candidate;
  /// Of the held-in tasks, in their order, more is better. Empty: the candidate could not be
  /// scored, which is worse than any score.
  std::vector<double> merits{};

  /// Their mean; absent without scores or where it is not finite.
  std::optional<double> merit() const;
};

class Search {
 public:
  virtual ~Search() = default;
  /// The candidates to be scored next, in a fixed order; none when the search is over.
  virtual std::vector<Json> ask() = 0;
  /// The merits of these, in their order.
  virtual void tell(const std::vector<std::vector<double>>& merits) = 0;
  /// The winner's place in the order of all candidates; absent when none has a score. Unless the
  /// algorithm has another rule: the highest mean, the first of equals.
  virtual std::optional<size_t> best() const;
  /// All candidates that were scored, in order.
  const std::vector<Trial>& trials() const { return trials_; }

 protected:
  /// Adds the candidates that ask() returned to trials().
  void record(const std::vector<Json>& candidates, const std::vector<std::vector<double>>& merits);

 private:
  std::vector<Trial> trials_;
};

/// Asks for these, all at once: a grid.
std::unique_ptr<Search> list_search(std::vector<Json> candidates);

/// How many experts a set has, and held-in tasks.
struct SetSize {
  size_t experts, tasks;
};

/// A search of the row whose `fixed` parameters its candidates have, too. `defaults`: all
/// parameters of the row, where the search starts.
std::unique_ptr<Search> make_search(const SearchSpec& spec, const Json& fixed, const Json& defaults,
                                    SetSize set);

}  // namespace assay
