#include "harness/method/engine_handle.h"

#include <numeric>
#include <utility>

namespace assay {

void EngineHandle::report_nonfinite(int64_t) {}

void EngineHandle::report(const std::string&, double) {}

std::string EngineHandle::delta_key(size_t) const { return {}; }

std::string EngineHandle::pair_key(size_t, size_t) const { return {}; }

std::vector<std::any> EngineHandle::cached(const std::vector<std::string>& keys,
                                           const ComputeMissing& compute) {
  std::vector<std::any> values;
  if (keys.empty()) return values;
  std::vector<size_t> all(keys.size());
  std::iota(all.begin(), all.end(), size_t{0});
  for (CachedValue& computed : compute(all)) values.push_back(std::move(computed.value));
  return values;
}

at::Tensor EngineHandle::cached_part(int64_t, const std::string&, int64_t, at::Device,
                                     const std::function<void(at::Tensor& values)>&) {
  return {};
}

}  // namespace assay
