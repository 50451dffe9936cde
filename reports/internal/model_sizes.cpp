#include "reports/internal/model_sizes.h"

#include <numeric>

namespace assay {
namespace {

std::optional<ModelSize> size_of(const RunRecord& run) {
  const auto size = run.diagnostics.find(kModelSize);
  return size == run.diagnostics.end() ? std::nullopt : std::optional(size->get<ModelSize>());
}

std::optional<int64_t> integer_mean(const std::vector<int64_t>& values) {
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), int64_t{0}) / std::ssize(values);
}

}  // namespace

std::optional<ModelSize> mean_size(const std::vector<const SweepResults::PlacedRun*>& placed) {
  ModelSize sum;
  int64_t count = 0;
  std::vector<int64_t> flops, router_flops;  // of the runs that say
  for (const SweepResults::PlacedRun* p : placed)
    if (const auto size = size_of(p->run)) {
      sum.parameters += size->parameters;
      sum.active += size->active;
      sum.bytes += size->bytes;
      ++count;
      if (size->flops) flops.push_back(*size->flops);
      if (size->router_flops) router_flops.push_back(*size->router_flops);
    }
  if (count == 0) return std::nullopt;
  return ModelSize{sum.parameters / count, sum.active / count, sum.bytes / count,
                   integer_mean(flops), integer_mean(router_flops)};
}

std::map<std::string, int64_t> parameters_by_set(const SweepResults& results) {
  std::map<std::string, int64_t> parameters;
  for (const RunKind kind : {RunKind::kBase, RunKind::kExpert})
    for (const SweepResults::PlacedRun& p : results.runs)
      if (const auto size = size_of(p.run); p.run.kind == kind && size)
        parameters.emplace(p.placement.set, size->parameters);
  return parameters;
}

}  // namespace assay
