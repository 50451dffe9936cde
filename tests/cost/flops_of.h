/// Shared by tests of counted FLOPs.
#pragma once

#include "harness/cost/meter.h"
#include "harness/model/architecture.h"

namespace assay {

/// The FLOPs that are counted while `work` runs.
template <typename Work>
int64_t flops_of(Work&& work) {
  count_operator_flops();
  const int64_t before = counters::flops;
  work();
  return counters::flops - before;
}

inline std::unique_ptr<Architecture> architecture_of(const Json& config) {
  return make_architecture(JsonReader(config, "config.json: $"));
}

}  // namespace assay
