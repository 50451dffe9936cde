#include "harness/model/batch_norm.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/core/error.h"
#include "harness/model/forward.h"
#include "harness/model/layers_of.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

thread_local BatchNormByBatch* active_batch = nullptr;

class NameObserver final : public LayerObserver {
 public:
  void layer(const LayerInput& /*input*/) override {}
  void batch_norm(const std::string& name, const at::Tensor& /*x*/) override {
    names.push_back(name);
  }
  bool shapes_only() const override { return true; }

  std::vector<std::string> names;
};

}  // namespace

std::vector<std::string> batch_norms_of(const Architecture& architecture) {
  const c10::NoGradGuard no_gradients;
  NameObserver observer;
  row_logits(architecture, weights_without_memory(architecture), example_batch(architecture));
  return std::move(observer.names);
}

std::set<std::string> running_moments_of(const Architecture& architecture) {
  std::set<std::string> names;
  for (const std::string& layer : batch_norms_of(architecture))
    for (const char* part : {".running_mean", ".running_var"}) names.insert(layer + part);
  return names;
}

BatchNormByBatch::BatchNormByBatch(std::set<std::string> fixed)
    : fixed_(std::move(fixed)), outer_(active_batch) {
  active_batch = this;
}

BatchNormByBatch::~BatchNormByBatch() { active_batch = outer_; }

BatchNormByBatch* BatchNormByBatch::active() { return active_batch; }

StateDict BatchNormByBatch::running_moments() const {
  StateDict tensors;
  for (const auto& [layer, own] : moments_) {
    tensors[layer + ".running_mean"] = own.mean;
    tensors[layer + ".running_var"] = own.variance;
  }
  return tensors;
}

at::Tensor BatchNormByBatch::normalize(const std::string& name, const at::Tensor& x,
                                       const at::Tensor& weight, const at::Tensor& bias,
                                       double epsilon) {
  if (x.numel() <= x.size(1))
    user_error(
        "BatchNorm layer '{}' gets one value per channel, which has no variance: use a "
        "larger batch",
        name);
  Moments own{at::zeros({x.size(1)}, weight.options()), at::zeros({x.size(1)}, weight.options())};
  // With the momentum 1, running moments become those of the batch.
  at::Tensor y = at::batch_norm(x, weight, bias, own.mean, own.variance, /*training=*/true,
                                /*momentum=*/1.0, epsilon, /*cudnn_enabled=*/false);
  moments_.insert_or_assign(name, std::move(own));
  return y;
}

}  // namespace assay
