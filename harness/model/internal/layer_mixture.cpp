#include "harness/model/internal/layer_mixture.h"

#include <ATen/ATen.h>

#include "harness/model/internal/decoder.h"

namespace assay {
namespace {

class LayerMixture final : public LanguageArchitecture {
 public:
  LayerMixture(std::shared_ptr<const Decoder> decoder, std::vector<LanguageModel> models,
               const std::vector<double>& shares)
      : decoder_(std::move(decoder)), models_(std::move(models)) {
    for (size_t i = 0; i < models_.size(); ++i) layers_.push_back({&models_[i].weights, shares[i]});
  }
  LayerMixture(const LayerMixture&) = delete;
  LayerMixture& operator=(const LayerMixture&) = delete;

  Json config() const override {
    return {{"model_type", "layer_mixture"}, {"member", decoder_->config()}};
  }
  std::vector<TensorInfo> tensors() const override { return {}; }
  StateDict initial_weights(uint64_t) const override { return {}; }
  int64_t vocabulary() const override { return decoder_->vocabulary(); }
  int64_t max_positions() const override { return decoder_->max_positions(); }
  bool can_extend(int64_t from, int64_t to) const override {
    return decoder_->can_extend(from, to);
  }
  int64_t members() const override { return static_cast<int64_t>(models_.size()); }
  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    return decoder_->mixed_hidden(layers_, batch, cache);
  }
  at::Tensor vocabulary_logits(const StateDict&, const at::Tensor& hidden) const override {
    return decoder_->vocabulary_logits(models_.front().weights, hidden);
  }

 private:
  std::shared_ptr<const Decoder> decoder_;
  std::vector<LanguageModel> models_;
  std::vector<LayerShare> layers_;
};

}  // namespace

std::shared_ptr<const LanguageArchitecture> layer_mixture(std::shared_ptr<const Decoder> decoder,
                                                          std::vector<LanguageModel> models,
                                                          const std::vector<double>& shares) {
  return std::make_shared<LayerMixture>(std::move(decoder), std::move(models), shares);
}

}  // namespace assay
