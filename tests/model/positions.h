/// For tests of how much padding is computed.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>

#include "harness/model/observer.h"

namespace assay::testing {

/// Counts the tokens, padding included, that layers whose weights end so multiply.
class Positions final : public LayerObserver {
 public:
  explicit Positions(std::string suffix) : suffix_(std::move(suffix)) {}
  void layer(const LayerInput& input) override {
    if (input.weight.ends_with(suffix_)) count_ += input.x.numel() / input.x.size(-1);
  }
  int64_t count() const { return count_; }

 private:
  std::string suffix_;
  int64_t count_ = 0;
};

}  // namespace assay::testing
