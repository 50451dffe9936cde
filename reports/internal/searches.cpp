#include "reports/internal/searches.h"

#include <algorithm>
#include <map>

#include "harness/core/metrics.h"

namespace assay {
namespace {

using Merits = std::map<std::string, double>;  // by task

Merits merits_of(const RunRecord& run) {
  Merits merits;
  for (const ScoreRecord& score : run.scores)
    if (score.primary) merits[score.task] = merit(score.metric, score.value);
  return merits;
}

// At least as good on every task, and better on one.
bool dominates(const Merits& a, const Merits& b) {
  bool better = false;
  for (const auto& [task, value] : b) {
    const auto other = a.find(task);
    if (other == a.end() || other->second < value) return false;
    better = better || other->second > value;
  }
  return better;
}

bool on_front(const Merits& merits, const std::vector<Merits>& all) {
  return !merits.empty() && std::none_of(all.begin(), all.end(), [&](const Merits& other) {
    return dominates(other, merits);
  });
}

Json search_json(const SearchRecord& search, const std::map<std::string, const RunRecord*>& runs) {
  Json json{{"set", search.set},       {"row", search.row},
            {"seed", search.seed},     {"algorithm", search.algorithm},
            {"budget", search.budget}, {"search_seed", search.search_seed},
            {"steps", Json::array()}};
  std::vector<Merits> all;
  for (const SearchRecord::Step& step : search.steps) {
    const auto run = runs.find(step.key);
    all.push_back(step.merit && run != runs.end() ? merits_of(*run->second) : Merits{});
  }
  Json best;  // null before the first score
  for (size_t i = 0; i < search.steps.size(); ++i) {
    const auto& [key, merit] = search.steps[i];
    if (merit && (best.is_null() || *merit > best.get<double>())) best = *merit;
    const auto run = runs.find(key);
    json["steps"].push_back({{"key", key.empty() ? Json() : Json(key)},
                             {"parameters", run == runs.end() ? Json() : run->second->parameters},
                             {"merit", merit ? Json(*merit) : Json()},
                             {"best", best},
                             {"scores", all[i]}});
    if (search.algorithm == "nsga2") json["steps"].back()["on_front"] = on_front(all[i], all);
  }
  return json;
}

}  // namespace

Json searches_json(const SweepResults& results) {
  std::map<std::string, const RunRecord*> runs;
  for (const auto& placed : results.runs)
    if (placed.placement.variant == "grid") runs.emplace(placed.run.key, &placed.run);
  Json searches = Json::array();
  for (const SearchRecord& search : results.searches) searches.push_back(search_json(search, runs));
  return searches;
}

}  // namespace assay
