#include "methods/permute/zip_by_weights.h"

#include <ATen/ATen.h>

#include <limits>
#include <map>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/kernels/one_thread.h"
#include "methods/permute/matching.h"

namespace assay {
namespace {

constexpr int64_t kSweepLimit = 100, kPatience = 5;

/// Correlations of what the units of all networks are made of, an entry of a vector per weight.
at::Tensor weight_similarities(const UnitGroups& groups, size_t group,
                               const std::vector<StateDict>& networks, const UnitMaps& maps) {
  const int64_t units = groups.units(group);
  PairMoments moments;
  for (const UnitAxis& axis : groups.groups()[group].axes) {
    if (is_running_moment(axis.tensor) || maps.widens(axis.tensor)) continue;
    std::vector<at::Tensor> rows;
    for (size_t k = 0; k < networks.size(); ++k)
      rows.push_back(
          unit_rows(maps.mapped(k, axis.tensor, networks[k].at(axis.tensor), &axis), axis, units));
    const at::Tensor all = at::cat(rows).t();
    moments.add(all, all);
  }
  ASSAY_CHECK(moments.rows > 0, "zipped units without weights");
  return moments.similarity(UnitSimilarity::kCorrelation).cpu();
}

}  // namespace

int64_t zip_by_weights(const UnitGroups& groups, const std::vector<size_t>& zipped,
                       const std::vector<StateDict>& networks,
                       const std::vector<at::Tensor>& similarities, double balance, uint64_t key,
                       const ZipOptions& options, UnitMaps& maps) {
  const OneThread one;  // products over more threads would be added up in another order
  const auto models = static_cast<int64_t>(networks.size());
  struct State {
    UnitMaps maps;
    std::map<size_t, std::vector<int64_t>> unit_of;  // of groups that have been visited
  };
  State now{maps, {}}, best = now;
  Rng rng(key);
  double highest = -std::numeric_limits<double>::infinity();
  int64_t sweeps = 0, fruitless = 0;
  for (bool changed = true; changed && fruitless < kPatience && sweeps < kSweepLimit; ++sweeps) {
    changed = false;
    double sum = 0;
    for (const int64_t next : rng.permutation(static_cast<int64_t>(zipped.size()))) {
      const size_t group = zipped[static_cast<size_t>(next)];
      at::Tensor all = balance * weight_similarities(groups, group, networks, now.maps);
      if (balance < 1) all += (1 - balance) * similarities[group];
      ZippedUnits units = zip_units(all, groups.units(group), models, options);
      sum += units.similarity;
      now.maps.set(group, zipped_together(units.unit_of, groups.units(group), models));
      changed |= now.unit_of[group] != units.unit_of;
      now.unit_of[group] = std::move(units.unit_of);
    }
    if (sum > highest + 1e-12) {
      highest = sum;
      best = now;
      fruitless = 0;
    } else {
      now = best;
      ++fruitless;
    }
  }
  maps = best.maps;
  return sweeps;
}

}  // namespace assay
