// The only file that includes pagmo. Its algorithms evaluate a generation in the midst of
// evolve(), while a search must hand it out and get the scores later. So each generation runs
// twice: first on a copy, to learn its points, then with their scores. Within a generation points
// do not depend on its scores.
#include <cmath>
#include <pagmo/algorithms/cmaes.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/population.hpp>
#include <pagmo/problem.hpp>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/sweep/search/algorithms.h"

namespace assay {
namespace {

using Points = std::vector<std::vector<double>>;

// What a candidate without scores has. Pagmo minimises.
constexpr double kWorst = 1e100;

/// What pagmo asks for and is answered.
struct Exchange {
  Points asked;
  Points answers;  ///< to the coming questions; zeros when there is none
};

/// Pagmo's view of the search. All copies share the exchange.
struct Problem {
  std::shared_ptr<Exchange> exchange;
  size_t dimensions = 0, objectives = 1;

  std::vector<double> fitness(const std::vector<double>& point) const {
    const size_t place = exchange->asked.size();
    exchange->asked.push_back(point);
    return place < exchange->answers.size() ? exchange->answers[place]
                                            : std::vector<double>(objectives, 0.0);
  }
  std::pair<std::vector<double>, std::vector<double>> get_bounds() const {
    return {std::vector<double>(dimensions, 0.0), std::vector<double>(dimensions, 1.0)};
  }
  std::vector<double>::size_type get_nobj() const { return objectives; }
};

/// A search by an algorithm of pagmo that keeps its state between generations.
template <typename Algorithm>
class Evolution : public Search {
 public:
  Evolution(Algorithm algorithm, SearchSpace space, int64_t budget, Points first)
      : algorithm_(std::move(algorithm)),
        space_(std::move(space)),
        budget_(static_cast<size_t>(budget)),
        points_(std::move(first)) {}

  std::vector<Json> ask() override {
    if (points_.empty()) points_ = next_generation();
    const size_t left = budget_ - std::min(budget_, trials().size());
    std::vector<Json> asked;
    for (size_t i = 0; i < std::min(points_.size(), left); ++i)
      asked.push_back(space_.at(points_[i]));
    return asked;
  }

  void tell(const std::vector<std::vector<double>>& merits) override {
    record(ask(), merits);
    if (trials().size() >= budget_) return;  // the last generation may be cut short
    Points answers;
    for (size_t i = trials().size() - merits.size(); i < trials().size(); ++i)
      answers.push_back(fitness(trials()[i]));
    if (!population_)
      start(answers);
    else
      evolve(answers);
    points_.clear();
  }

 protected:
  /// What pagmo shall minimise.
  virtual std::vector<double> fitness(const Trial& trial) const = 0;
  /// Fills the population that the first generation is made of.
  virtual void begin(pagmo::population& population, const Points& first,
                     const Points& answers) const = 0;

 private:
  void start(const Points& answers) {
    const Problem problem{exchange_, space_.dimensions(), answers.front().size()};
    population_.emplace(pagmo::problem(problem), size_t{0}, algorithm_.get_seed());
    begin(*population_, points_, answers);
  }

  Points next_generation() {
    *exchange_ = {};
    const Algorithm copy = algorithm_;
    copy.evolve(*population_);
    return std::exchange(exchange_->asked, {});
  }

  void evolve(const Points& answers) {
    *exchange_ = {{}, answers};
    population_ = algorithm_.evolve(*population_);
    ASSAY_CHECK(exchange_->asked == points_, "the points of a generation depend on its scores");
  }

  Algorithm algorithm_;
  SearchSpace space_;
  size_t budget_;
  Points points_;  ///< of this generation; empty before they are asked for
  std::shared_ptr<Exchange> exchange_ = std::make_shared<Exchange>();
  std::optional<pagmo::population> population_;
};

class CmaEs final : public Evolution<pagmo::cmaes> {
 public:
  CmaEs(pagmo::cmaes algorithm, const SearchSpace& space, int64_t budget, size_t generation)
      : Evolution(std::move(algorithm), space, budget, {space.start()}), generation_(generation) {}

 private:
  std::vector<double> fitness(const Trial& trial) const override {
    const auto merit = trial.merit();
    return {merit ? -*merit : kWorst};
  }
  // The size of a population is that of its generations, the mean of the first its best point: all
  // are the start.
  void begin(pagmo::population& population, const Points& first,
             const Points& answers) const override {
    for (size_t i = 0; i < generation_; ++i) population.push_back(first.front(), answers.front());
  }

  size_t generation_;
};

class Nsga2 final : public Evolution<pagmo::nsga2> {
 public:
  Nsga2(pagmo::nsga2 algorithm, SearchSpace space, int64_t budget, Points first, size_t tasks)
      : Evolution(std::move(algorithm), std::move(space), budget, std::move(first)),
        tasks_(tasks) {}

 private:
  std::vector<double> fitness(const Trial& trial) const override {
    std::vector<double> out(tasks_, kWorst);
    if (!trial.merit()) return out;
    ASSAY_CHECK(trial.merits.size() == tasks_, "{} merits", trial.merits.size());
    for (size_t i = 0; i < tasks_; ++i) out[i] = -trial.merits[i];
    return out;
  }
  void begin(pagmo::population& population, const Points& first,
             const Points& answers) const override {
    for (size_t i = 0; i < first.size(); ++i) population.push_back(first[i], answers[i]);
  }

  size_t tasks_;
};

unsigned pagmo_seed(const SearchSpec& spec, std::string_view purpose) {
  return static_cast<unsigned>(stream_key(spec.seed, purpose));
}

}  // namespace

std::unique_ptr<Search> cma_es_search(const SearchSpec& spec, const SearchSpace& space) {
  constexpr double kDefault = -1, kStep = 1.0 / 6, kNoTolerance = 0;
  const double n = static_cast<double>(space.dimensions());
  const size_t generation = 4 + static_cast<size_t>(3 * std::log(n));
  pagmo::cmaes algorithm(1, kDefault, kDefault, kDefault, kDefault, kStep, kNoTolerance,
                         kNoTolerance, true, false, pagmo_seed(spec, "cma_es"));
  constexpr size_t kLeast = 5;  // pagmo's
  return std::make_unique<CmaEs>(std::move(algorithm), space, spec.budget,
                                 std::max(generation, kLeast));
}

std::unique_ptr<Search> nsga2_search(const SearchSpec& spec, SearchSpace space, size_t tasks) {
  // Pagmo wants a multiple of four.
  const auto root = static_cast<size_t>(std::sqrt(static_cast<double>(spec.budget)));
  const size_t generation = std::max<size_t>(8, (root + 3) / 4 * 4);
  Rng rng(spec.seed, "nsga2");
  Points first{space.start()};
  while (first.size() < generation) {
    auto& point = first.emplace_back(space.dimensions());
    for (double& x : point) x = rng.uniform();
  }
  constexpr double kCrossover = 0.95, kCrossoverIndex = 10, kMutationIndex = 50;
  pagmo::nsga2 algorithm(1, kCrossover, kCrossoverIndex,
                         1 / static_cast<double>(space.dimensions()), kMutationIndex,
                         pagmo_seed(spec, "nsga2"));
  return std::make_unique<Nsga2>(std::move(algorithm), std::move(space), spec.budget,
                                 std::move(first), tasks);
}

}  // namespace assay
