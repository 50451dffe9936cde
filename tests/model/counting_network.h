/// An architecture for tests of how often it runs.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "harness/model/architecture.h"

namespace assay::testing {

/// A network that counts its forward passes.
class CountingNetwork final : public Architecture {
 public:
  CountingNetwork(int64_t classes, int& passes) : classes_(classes), passes_(&passes) {}
  Json config() const override { return {{"model_type", "counting"}, {"classes", classes_}}; }
  std::vector<TensorInfo> tensors() const override { return {{"weight", at::kFloat, {classes_}}}; }
  StateDict initial_weights(uint64_t) const override { return {{"weight", at::zeros({classes_})}}; }
  std::vector<int64_t> item_shape() const override { return {3}; }
  at::Tensor logits(const StateDict&, const at::Tensor& inputs) const override {
    ++*passes_;
    return at::zeros({inputs.size(0), classes_});
  }

 private:
  int64_t classes_;
  int* passes_;
};

}  // namespace assay::testing
