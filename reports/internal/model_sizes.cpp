#include "reports/internal/model_sizes.h"

namespace assay {
namespace {

std::optional<ModelSize> size_of(const RunRecord& run) {
  const auto size = run.diagnostics.find(kModelSize);
  return size == run.diagnostics.end() ? std::nullopt : std::optional(size->get<ModelSize>());
}

}  // namespace

std::optional<ModelSize> mean_size(const std::vector<const SweepResults::PlacedRun*>& placed) {
  ModelSize sum;
  int64_t count = 0, with_flops = 0, flops = 0;
  for (const SweepResults::PlacedRun* p : placed)
    if (const auto size = size_of(p->run)) {
      sum.parameters += size->parameters;
      sum.active += size->active;
      sum.bytes += size->bytes;
      ++count;
      flops += size->flops.value_or(0);
      with_flops += size->flops ? 1 : 0;
    }
  if (count == 0) return std::nullopt;
  ModelSize mean{sum.parameters / count, sum.active / count, sum.bytes / count, std::nullopt};
  if (with_flops > 0) mean.flops = flops / with_flops;
  return mean;
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
