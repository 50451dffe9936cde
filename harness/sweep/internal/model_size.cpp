#include "harness/sweep/internal/model_size.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/model/forward.h"
#include "harness/model/layers_of.h"
#include "harness/model/observer.h"
#include "harness/model/routed.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

/// The experts of a layer.
struct Experts {
  std::vector<std::vector<std::string>> tensors;
  int64_t per_token = 0;
};

class ExpertsOf final : public RouterObserver {
 public:
  void experts(const std::vector<std::vector<std::string>>& tensors, int64_t per_token) override {
    layers.push_back({tensors, per_token});
  }
  std::vector<Experts> layers;
};

/// Layers give zeros of the right shape.
class WithoutProducts final : public LayerObserver {
 public:
  void layer(const LayerInput& /*input*/) override {}
  bool shapes_only() const override { return true; }
};

bool equal(const TensorSource& weights, const std::vector<std::string>& a,
           const std::vector<std::string>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!at::equal(weights.read(a[i]), weights.read(b[i]))) return false;
  return true;
}

}  // namespace

ModelSize model_size(const Architecture& architecture, const TensorSource& weights) {
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, const TensorInfo*> stored;  // by the architecture's names
  ModelSize size;
  for (const TensorInfo& tensor : weights.tensors()) {
    stored[canonical_name(names, tensor.name)] = &tensor;
    size.parameters += tensor.numel();
    size.bytes += tensor.bytes();
  }
  // Which members answer is decided for a sequence, so it cannot be seen in a forward pass.
  if (const auto* routed = dynamic_cast<const RoutedArchitecture*>(&architecture)) {
    for (const std::string& tensor : routed->answering_tensors())
      if (const auto found = stored.find(tensor); found != stored.end())
        size.active += found->second->numel();
    return size;
  }
  const WithoutProducts shapes_only;
  ExpertsOf seen;
  row_logits(architecture, weights_without_memory(architecture), example_batch(architecture));
  size.active = size.parameters;
  for (const Experts& layer : seen.layers) {
    std::vector<std::vector<std::string>> different;
    int64_t of_layer = 0;
    for (const auto& tensors : layer.tensors) {
      std::vector<std::string> own;
      int64_t values = 0, bytes = 0;
      for (const std::string& tensor : tensors)
        if (const auto found = stored.find(tensor); found != stored.end()) {
          own.push_back(found->second->name);
          values += found->second->numel();
          bytes += found->second->bytes();
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
    size.active -= of_layer / all * (all - std::min(all, layer.per_token));
  }
  return size;
}

}  // namespace assay
