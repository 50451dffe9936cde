#include "harness/model/internal/expert_layer.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

class ExpertLayer final : public FeedForward {
 public:
  ExpertLayer(const ExpertLayerShape& shape, std::string router,
              std::vector<std::unique_ptr<FeedForward>> experts)
      : shape_(shape), router_(std::move(router)), experts_(std::move(experts)) {
    ASSAY_CHECK(static_cast<int64_t>(experts_.size()) == shape_.experts, "{} experts of {}",
                experts_.size(), shape_.experts);
  }

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    const at::Tensor logits = linear(weights, router_, x);
    const LayerObserver* observer = LayerObserver::active();
    if (observer && observer->shapes_only()) return trace(weights, x);
    const Routing routing = route(logits);
    const at::Tensor outputs = run_experts(weights, x.flatten(0, -2), routing);
    // Back in the order of the tokens: the sum over a token's experts has a fixed order.
    const at::Tensor by_token =
        outputs.index_select(0, routing.place).view({-1, shape_.per_token, x.size(-1)});
    const at::Tensor weighted = by_token * routing.weights.to(x.scalar_type()).unsqueeze(-1);
    return weighted.sum(1).view(x.sizes());
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    add_linear(all, router_, shape_.width, shape_.experts, shape_.router_bias);
    for (const auto& expert : experts_)
      for (TensorInfo& info : expert->tensors()) all.push_back(std::move(info));
    return all;
  }

 private:
  /// Of T tokens that are sent to k experts each.
  struct Routing {
    at::Tensor weights;           ///< [T, k]
    at::Tensor kept;              ///< bool [T]: within the experts' capacity; undefined: all are
    at::Tensor token;             ///< [T * k], sorted by expert: which token it is
    at::Tensor place;             ///< [T * k], sorted by token: its place among those
    std::vector<int64_t> counts;  ///< of each expert's tokens
  };

  /// Of logits [rows, tokens, experts] or [tokens, experts].
  Routing route(const at::Tensor& row_logits) const {
    const at::Tensor logits = row_logits.flatten(0, -2);
    const at::ScalarType dtype = at::promoteTypes(logits.scalar_type(), at::kFloat);
    const auto [sorted, experts] =
        at::sort(at::softmax(logits.to(dtype), -1), /*stable=*/true, -1, /*descending=*/true);
    Routing routing;
    routing.weights = sorted.narrow(1, 0, shape_.per_token);
    if (shape_.normalized)
      routing.weights = routing.weights / routing.weights.sum(-1, /*keepdim=*/true);
    const at::Tensor chosen = experts.narrow(1, 0, shape_.per_token).flatten();
    if (shape_.capacity > 0) {
      routing.kept =
          within_capacity(chosen.view(row_logits.sizes().slice(0, row_logits.dim() - 1)));
      routing.weights = routing.weights * routing.kept.unsqueeze(-1);
    }
    const at::Tensor order = std::get<1>(at::sort(chosen, /*stable=*/true, 0, false));
    routing.token = at::floor_divide(order, shape_.per_token);
    routing.place = std::get<1>(at::sort(order));
    const at::Tensor counts = at::bincount(chosen, {}, shape_.experts).cpu();
    routing.counts.assign(counts.data_ptr<int64_t>(), counts.data_ptr<int64_t>() + counts.numel());
    return routing;
  }

  /// Whether the expert int64 [rows, tokens] of each token still takes it: bool [T].
  at::Tensor within_capacity(const at::Tensor& chosen) const {
    ASSAY_CHECK(shape_.per_token == 1, "a capacity with {} experts per token", shape_.per_token);
    at::Tensor sent = at::one_hot(chosen, shape_.experts);
    if (const at::Tensor counted = CountedTokens::current(); counted.defined())
      sent = sent * counted.to(sent.device()).unsqueeze(-1);
    const at::Tensor places = sent.cumsum(-2).gather(-1, chosen.unsqueeze(-1));
    return (places <= shape_.capacity).flatten();
  }

  /// The outputs [T * k, width], sorted by expert, of the tokens x [T, width].
  at::Tensor run_experts(const StateDict& weights, const at::Tensor& x,
                         const Routing& routing) const {
    const at::Tensor inputs = x.index_select(0, routing.token);
    at::Tensor counted = CountedTokens::current();
    if (routing.kept.defined())
      counted =
          counted.defined() ? counted.flatten() & routing.kept.to(counted.device()) : routing.kept;
    at::Tensor counted_rows;
    if (counted.defined())
      counted_rows = counted.flatten().index_select(0, routing.token.to(counted.device()));
    std::vector<at::Tensor> outputs;
    int64_t first = 0;
    for (size_t i = 0; i < experts_.size(); ++i) {
      const int64_t count = routing.counts[i];
      if (count == 0) continue;
      const CountedTokens of_expert(counted.defined() ? counted_rows.narrow(0, first, count)
                                                      : at::Tensor());
      outputs.push_back(experts_[i]->forward(weights, inputs.narrow(0, first, count)));
      first += count;
    }
    return at::cat(outputs);
  }

  /// Shows all experts to an observer of shapes, each with an input of its own: no token is routed.
  at::Tensor trace(const StateDict& weights, const at::Tensor& x) const {
    at::Tensor sum = experts_.front()->forward(weights, x.view(x.sizes()));
    for (size_t i = 1; i < experts_.size(); ++i)
      sum = sum + experts_[i]->forward(weights, x.view(x.sizes()));
    return sum;
  }

  ExpertLayerShape shape_;
  std::string router_;
  std::vector<std::unique_ptr<FeedForward>> experts_;
};

/// Without a gate (an empty name) the shared expert's output counts in full.
class SharedExpertLayer final : public FeedForward {
 public:
  SharedExpertLayer(int64_t width, std::unique_ptr<FeedForward> routed, std::string gate,
                    std::unique_ptr<FeedForward> shared)
      : width_(width),
        routed_(std::move(routed)),
        gate_(std::move(gate)),
        shared_(std::move(shared)) {}

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    if (gate_.empty()) return routed_->forward(weights, x) + shared_->forward(weights, x);
    const at::Tensor share = at::sigmoid(linear(weights, gate_, x));
    return routed_->forward(weights, x) + share * shared_->forward(weights, x);
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all = routed_->tensors();
    if (!gate_.empty()) add_linear(all, gate_, width_, 1, false);
    for (TensorInfo& info : shared_->tensors()) all.push_back(std::move(info));
    return all;
  }

 private:
  int64_t width_;
  std::unique_ptr<FeedForward> routed_;
  std::string gate_;
  std::unique_ptr<FeedForward> shared_;
};

}  // namespace

std::unique_ptr<FeedForward> expert_layer(const ExpertLayerShape& shape, std::string router,
                                          std::vector<std::unique_ptr<FeedForward>> experts) {
  return std::make_unique<ExpertLayer>(shape, std::move(router), std::move(experts));
}

std::unique_ptr<FeedForward> with_shared_expert(int64_t width, std::unique_ptr<FeedForward> routed,
                                                std::string gate,
                                                std::unique_ptr<FeedForward> shared) {
  return std::make_unique<SharedExpertLayer>(width, std::move(routed), std::move(gate),
                                             std::move(shared));
}

std::unique_ptr<FeedForward> with_shared_expert(std::unique_ptr<FeedForward> routed,
                                                std::unique_ptr<FeedForward> shared) {
  return std::make_unique<SharedExpertLayer>(0, std::move(routed), "", std::move(shared));
}

}  // namespace assay
