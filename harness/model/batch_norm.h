/// BatchNorm layers (Ioffe & Szegedy, arXiv:1502.03167) as code outside of architectures sees them.
/// Their running moments are tensors of the model. A forward pass normalises by these, unless it is
/// told to use the moments of the batch, as training does.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/model/architecture.h"

namespace assay {

/// The names of the BatchNorm layers, in the order in which a forward pass reaches them; their
/// tensors are NAME.weight, NAME.bias, NAME.running_mean and NAME.running_var. Found as layers_of()
/// finds layers.
std::vector<std::string> batch_norms_of(const Architecture& architecture);

/// NAME.running_mean and NAME.running_var of all of them.
std::set<std::string> running_moments_of(const Architecture& architecture);

/// While it lives, BatchNorm layers that run on this thread normalise by the mean and variance of
/// their own input, and leave them here. The innermost one holds.
class BatchNormByBatch {
 public:
  struct Moments {
    at::Tensor mean, variance;  ///< [channels], without gradient; the variance is the unbiased one
  };

  /// `fixed`: layers that go on with their running moments.
  explicit BatchNormByBatch(std::set<std::string> fixed = {});
  ~BatchNormByBatch();
  BatchNormByBatch(const BatchNormByBatch&) = delete;
  BatchNormByBatch& operator=(const BatchNormByBatch&) = delete;

  /// Of the layers that ran since this object was made, each the last time, by name.
  const std::map<std::string, Moments>& moments() const { return moments_; }
  /// The same as tensors of the model: NAME.running_mean and NAME.running_var.
  StateDict running_moments() const;

  bool is_fixed(const std::string& name) const { return fixed_.contains(name); }
  /// x [n, channels, ...], normalised. UserError where there is one value per channel.
  at::Tensor normalize(const std::string& name, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias, double epsilon);

  /// nullptr when there is none on this thread.
  static BatchNormByBatch* active();

 private:
  std::set<std::string> fixed_;
  std::map<std::string, Moments> moments_;
  BatchNormByBatch* outer_;
};

}  // namespace assay
