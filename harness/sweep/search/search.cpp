#include "harness/sweep/search/search.h"

#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/sweep/search/algorithms.h"

namespace assay {
namespace {

class ListSearch final : public Search {
 public:
  explicit ListSearch(std::vector<Json> candidates) : candidates_(std::move(candidates)) {}

  std::vector<Json> ask() override { return trials().empty() ? candidates_ : std::vector<Json>{}; }
  void tell(const std::vector<std::vector<double>>& merits) override {
    record(candidates_, merits);
  }

 private:
  std::vector<Json> candidates_;
};

// The row's own parameters, and points drawn uniformly.
std::vector<Json> random_candidates(const SearchSpec& spec, const SearchSpace& space) {
  Rng rng(spec.seed, "random search");
  std::vector<Json> candidates{space.at(space.start())};
  while (static_cast<int64_t>(candidates.size()) < spec.budget) {
    std::vector<double> point(space.dimensions());
    for (double& x : point) x = rng.uniform();
    candidates.push_back(space.at(point));
  }
  return candidates;
}

}  // namespace

std::optional<double> Trial::merit() const {
  if (merits.empty()) return std::nullopt;
  const double sum = std::accumulate(merits.begin(), merits.end(), 0.0);
  const double mean = sum / static_cast<double>(merits.size());
  return std::isfinite(mean) ? std::optional(mean) : std::nullopt;
}

std::optional<size_t> Search::best() const {
  std::optional<size_t> best;
  for (size_t i = 0; i < trials_.size(); ++i) {
    const auto merit = trials_[i].merit();
    if (merit && (!best || *merit > *trials_[*best].merit())) best = i;
  }
  return best;
}

void Search::record(const std::vector<Json>& candidates,
                    const std::vector<std::vector<double>>& merits) {
  ASSAY_CHECK(merits.size() == candidates.size(), "{} merits of {} candidates", merits.size(),
              candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) trials_.push_back({candidates[i], merits[i]});
}

std::unique_ptr<Search> list_search(std::vector<Json> candidates) {
  return std::make_unique<ListSearch>(std::move(candidates));
}

std::unique_ptr<Search> make_search(const SearchSpec& spec, const Json& fixed, const Json& defaults,
                                    SetSize set) {
  if (spec.algorithm == "greedy") return greedy_search(spec, fixed, set.experts);
  const SearchSpace space(spec, fixed, defaults, set.experts);
  if (spec.algorithm == "random") return list_search(random_candidates(spec, space));
  if (spec.algorithm == "cma_es") return cma_es_search(spec, space);
  ASSAY_CHECK(spec.algorithm == "nsga2", "no algorithm '{}'", spec.algorithm);
  return nsga2_search(spec, space, set.tasks);
}

}  // namespace assay
