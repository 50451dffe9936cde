#include "harness/sweep/internal/merge_costs.h"

#include <algorithm>
#include <vector>

namespace assay {
namespace {

// What merge_costs() sorts by; absent times count as long.
double seconds(const MergeReport& report) {
  double sum = kShortMergeSeconds;
  if (report.statistics.wall_s && report.merge.wall_s)
    sum = *report.statistics.wall_s + *report.merge.wall_s;
  if (report.shared) sum += report.shared->wall_s.value_or(kShortMergeSeconds);
  return sum;
}

MergeReport merge_alone(const Cell& cell, MergeInputs inputs, MergeSink& sink) {
  // Its own cache keeps the check of the inputs out of the cost, as in a sweep.
  MergeCache nothing_shared(int64_t{256} << 20, 0);
  inputs.cache = &nothing_shared;
  return merge_models(configuration_of(cell), inputs, sink);
}

}  // namespace

std::map<std::string, Cost> merge_costs(const Cell& cell, const MergeInputs& inputs,
                                        const MergeReport& first, MergeSink& sink) {
  MergeReport measured = first;
  const bool per_task = std::any_of(cell.tasks.begin(), cell.tasks.end(),
                                    [](const TaskRef& task) { return task.owner.has_value(); });
  if (cell.split == Split::kTest && !per_task && seconds(first) < kShortMergeSeconds) {
    std::vector<MergeReport> repeated;
    for (int i = 0; i < kMergeRepetitions; ++i) repeated.push_back(merge_alone(cell, inputs, sink));
    std::sort(repeated.begin(), repeated.end(),
              [](const MergeReport& a, const MergeReport& b) { return seconds(a) < seconds(b); });
    measured = repeated[repeated.size() / 2];
    measured.shared.reset();
  }
  std::map<std::string, Cost> costs{{"statistics", measured.statistics}, {"merge", measured.merge}};
  if (measured.shared) costs[kSharedPhase] = *measured.shared;
  return costs;
}

void add_merge_costs(const std::map<std::string, Cost>& costs, std::map<std::string, Cost>& sums) {
  const bool first = sums.empty();
  for (const auto& [phase, cost] : costs) {
    if (phase == kSharedPhase && !first) continue;
    if (const auto [sum, is_new] = sums.emplace(phase, cost); !is_new) sum->second += cost;
  }
}

}  // namespace assay
