#include "harness/calibration/internal/state_observer.h"

#include <ATen/ATen.h>

#include "harness/model/forward.h"
#include "harness/model/layers_of.h"

namespace assay {
namespace {

class FirstEmbedding final : public LayerObserver {
 public:
  void layer(const LayerInput& /*input*/) override {}
  void embedding(const std::string& weight, const at::Tensor& /*vectors*/) override {
    if (name.empty()) name = weight;
  }
  bool shapes_only() const override { return true; }

  std::string name;
};

/// The index of the last token that counts, int64 [examples].
at::Tensor last_token(const at::Tensor& counted) {
  const at::Tensor places = at::arange(1, counted.size(1) + 1, counted.options().dtype(at::kLong));
  return std::get<1>((counted * places).max(1));
}

}  // namespace

at::Tensor sum_over_tokens(const at::Tensor& x, const at::Tensor& counted) {
  return counted.defined() ? (x * counted.to(x.device()).unsqueeze(-1)).sum(1) : x.sum(1);
}

void StateObserver::hidden(BlockPlace place, const at::Tensor& x) {
  const bool wanted = (place == BlockPlace::kInput) == (tap_ == HiddenStates::Tap::kBlockInput);
  if (!wanted) return;
  const at::Tensor values = x.detach().to(at::kDouble);
  at::Tensor counted = CountedTokens::current();
  counted = counted.defined() ? counted.to(x.device())
                              : at::ones({x.size(0), x.size(1)}, x.options().dtype(at::kBool));
  if (tokens_ == HiddenStates::Tokens::kAll) {
    states.push_back(sum_over_tokens(values, counted) / counted.sum(1, /*keepdim=*/true));
    return;
  }
  const at::Tensor index = last_token(counted).view({-1, 1, 1}).expand({-1, 1, x.size(2)});
  states.push_back(values.gather(1, index).squeeze(1));
}

std::string token_embedding(const Architecture& architecture, const StateDict& weights) {
  FirstEmbedding observer;
  row_logits(architecture, weights, example_batch(architecture));
  return observer.name;
}

}  // namespace assay
