#include "harness/sweep/internal/model_size.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/model/routed.h"
#include "harness/sweep/internal/routed_size.h"

namespace assay {
namespace {

bool equal(const TensorSource& weights, const std::vector<std::string>& a,
           const std::vector<std::string>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!at::equal(weights.read(a[i]), weights.read(b[i]))) return false;
  return true;
}

}  // namespace

ModelSize model_size(const Architecture& architecture, const TensorSource& weights,
                     ForwardProfiles& profiles) {
  // Which members answer is decided for a sequence, so it cannot be seen in a forward pass.
  if (const auto* routed = dynamic_cast<const RoutedArchitecture*>(&architecture))
    return routed_size(*routed, weights, profiles);
  const ForwardProfile& profile = profiles.of(architecture);
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, const TensorInfo*> stored;  // by the architecture's names
  ModelSize size;
  for (const TensorInfo& tensor : weights.tensors()) {
    stored[canonical_name(names, tensor.name)] = &tensor;
    size.parameters += tensor.numel();
    size.bytes += tensor.bytes();
  }
  size.active = size.parameters;
  size.flops = 0;
  for (const auto& [unused, flops] : profile.flops) *size.flops += flops;
  for (const RoutedExperts& layer : profile.routers) {
    std::vector<std::vector<std::string>> different;
    int64_t of_layer = 0, layer_flops = 0;
    for (const auto& tensors : layer.tensors) {
      std::vector<std::string> own;
      int64_t values = 0, bytes = 0;
      for (const std::string& tensor : tensors) {
        if (const auto found = stored.find(tensor); found != stored.end()) {
          own.push_back(found->second->name);
          values += found->second->numel();
          bytes += found->second->bytes();
        }
        if (const auto found = profile.flops.find(tensor); found != profile.flops.end())
          layer_flops += found->second;
      }
      of_layer += values;
      const bool known = std::any_of(different.begin(), different.end(), [&](const auto& other) {
        return other.size() == own.size() && equal(weights, other, own);
      });
      if (!known) {
        different.push_back(std::move(own));
        continue;
      }
      size.parameters -= values;
      size.bytes -= bytes;
    }
    const auto all = static_cast<int64_t>(layer.tensors.size());
    // Copies of one expert are computed each by itself, with the same parameters.
    const int64_t computed = std::min(all, layer.per_token),
                  active = std::min(std::ssize(different), computed);
    size.active -= of_layer * (all - active) / all;
    *size.flops -= layer_flops * (all - computed) / all;
  }
  return size;
}

}  // namespace assay
