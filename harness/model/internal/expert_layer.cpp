#include "harness/model/internal/expert_layer.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/observer.h"
#include "harness/model/route_override.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

class ExpertLayer final : public FeedForward {
 public:
  ExpertLayer(const ExpertLayerShape& shape, std::string router,
              std::vector<std::unique_ptr<FeedForward>> experts)
      : shape_(shape), router_(std::move(router)), experts_(std::move(experts)) {
    ASSAY_CHECK(static_cast<int64_t>(experts_.size()) == shape_.own(), "{} experts of {}",
                experts_.size(), shape_.own());
  }

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    const at::Tensor row_logits = linear(weights, router_, x), logits = row_logits.flatten(0, -2);
    const LayerObserver* layers = LayerObserver::active();
    const RouterObserver* routers = RouterObserver::active();
    const bool read = routers && routers->reads_outputs();
    if (layers && layers->shapes_only()) return trace(weights, x);
    auto [chosen, shares] = decide(logits);
    const at::Tensor tokens = x.flatten(0, -2);
    const at::Tensor stored = stored_experts(weights, chosen);
    at::Tensor kept;
    if (shape_.capacity > 0) {
      kept = within_capacity(chosen.reshape(row_logits.sizes().slice(0, row_logits.dim() - 1)));
      shares = shares * kept.unsqueeze(-1);
    }
    if (routers && !read) show(weights, {tokens, logits, chosen, shares, {}});
    if (shape_.stored > 0 && !layers && !read)
      return run_once(weights, tokens, stored, shares).view(x.sizes());
    const Routing routing = route(stored, kept);
    const at::Tensor outputs = run_experts(weights, tokens, routing);
    // Back in the order of the tokens: the sum over a token's experts has a fixed order.
    const at::Tensor by_token =
        outputs.index_select(0, routing.place).view({-1, chosen.size(1), x.size(-1)});
    if (read) show(weights, {tokens, logits, chosen, shares, by_token});
    const at::Tensor weighted = by_token * shares.to(x.scalar_type()).unsqueeze(-1);
    return weighted.sum(1).view(x.sizes());
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    add_linear(all, router_, shape_.width, shape_.experts, shape_.router_bias);
    if (shape_.stored > 0) all.push_back({slots_name(), at::kFloat, {shape_.experts}});
    for (const auto& expert : experts_)
      for (TensorInfo& info : expert->tensors()) all.push_back(std::move(info));
    return all;
  }

 private:
  /// Of T tokens that are sent to k experts each.
  struct Routing {
    at::Tensor kept;              ///< bool [T]: within the experts' capacity; undefined: all are
    at::Tensor token;             ///< [T * k], sorted by expert: which token it is
    at::Tensor place;             ///< [T * k], sorted by token: its place among those
    std::vector<int64_t> counts;  ///< of each expert's tokens
  };

  struct Shown {
    at::Tensor x, logits, experts, weights, outputs;  ///< as in RoutedTokens
  };
  void show(const StateDict& weights, const Shown& shown) const {
    const std::string name = router_ + ".weight";
    const std::function choose_by = [this](const at::Tensor& logits) { return choose(logits); };
    const std::function run = [&](int64_t expert, const at::Tensor& x) {
      const at::Tensor stored = stored_experts(weights, at::full({1}, expert, at::kLong));
      return experts_.at(static_cast<size_t>(stored.item<int64_t>()))->forward(weights, x);
    };
    RouterObserver::active()->routed(
        {name, shown.x, shown.logits, shown.experts, shown.weights, shown.outputs, choose_by, run});
  }

  std::string slots_name() const { return router_ + ".slots"; }

  /// Which of the model's experts the router's experts are.
  at::Tensor stored_experts(const StateDict& weights, const at::Tensor& experts) const {
    if (shape_.stored == 0) return experts;
    const at::Tensor slots = weights.at(slots_name()).to(at::kLong);
    if (slots.lt(0).logical_or(slots.ge(shape_.stored)).any().item<bool>())
      data_error("'{}' maps experts to others than the {} that the model has", slots_name(),
                 shape_.stored);
    return slots.index_select(0, experts.flatten().to(slots.device())).view(experts.sizes());
  }

  /// The layer's output [T, width] where each of the stored experts [T, k] of a token runs once.
  at::Tensor run_once(const StateDict& weights, const at::Tensor& x, const at::Tensor& stored,
                      const at::Tensor& shares) const {
    const at::Tensor gates =
        at::zeros({x.size(0), shape_.stored}, shares.options()).scatter_add(1, stored, shares);
    const at::Tensor sent =
        at::zeros(gates.sizes(), stored.options().dtype(at::kBool)).scatter(1, stored, true);
    at::Tensor y = at::zeros_like(x);
    for (int64_t i = 0; i < shape_.stored; ++i) {
      const at::Tensor rows = sent.select(1, i).nonzero().flatten();
      if (rows.numel() == 0) continue;
      const at::Tensor given =
          experts_[static_cast<size_t>(i)]->forward(weights, x.index_select(0, rows));
      const at::Tensor gate = gates.select(1, i).index_select(0, rows).to(x.scalar_type());
      y = y.index_add(0, rows, given * gate.unsqueeze(-1));
    }
    return y;
  }

  /// The experts and their weights [T, k] of tokens with these logits, whatever the capacity.
  std::pair<at::Tensor, at::Tensor> choose(const at::Tensor& logits) const {
    const at::ScalarType dtype = at::promoteTypes(logits.scalar_type(), at::kFloat);
    const auto [sorted, experts] =
        at::sort(at::softmax(logits.to(dtype), -1), /*stable=*/true, -1, /*descending=*/true);
    at::Tensor shares = sorted.narrow(1, 0, shape_.per_token);
    if (shape_.normalized) shares = shares / shares.sum(-1, /*keepdim=*/true);
    return {experts.narrow(1, 0, shape_.per_token), shares};
  }

  /// choose(), unless somebody else decides (RouteOverride).
  std::pair<at::Tensor, at::Tensor> decide(const at::Tensor& logits) const {
    const RouteTokens* other = RouteOverride::active();
    if (!other) return choose(logits);
    const std::string name = router_ + ".weight";
    at::Tensor counted = CountedTokens::current();
    if (counted.defined()) counted = counted.flatten();
    const std::function own = [this](const at::Tensor& of_logits) {
      const auto [experts, weights] = choose(of_logits);
      return ExpertChoice{experts, weights};
    };
    const ExpertChoice chosen = (*other)({name, logits, counted, own});
    ASSAY_CHECK(chosen.experts.dim() == 2 && chosen.experts.size(0) == logits.size(0) &&
                    chosen.weights.sizes() == chosen.experts.sizes(),
                "experts {} and weights {} of {} tokens", shape_text(chosen.experts.sizes()),
                shape_text(chosen.weights.sizes()), logits.size(0));
    return {chosen.experts, chosen.weights};
  }

  Routing route(const at::Tensor& experts, const at::Tensor& kept) const {
    Routing routing;
    routing.kept = kept;
    const at::Tensor chosen = experts.flatten();
    const at::Tensor order = std::get<1>(at::sort(chosen, /*stable=*/true, 0, false));
    routing.token = at::floor_divide(order, experts.size(1));
    routing.place = std::get<1>(at::sort(order));
    const at::Tensor counts = at::bincount(chosen, {}, shape_.own()).cpu();
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
    std::vector<std::vector<std::string>> names;
    for (const auto& expert : experts_) {
      std::vector<std::string>& own = names.emplace_back();
      for (const TensorInfo& info : expert->tensors()) own.push_back(info.name);
    }
    if (RouterObserver* observer = RouterObserver::active())
      observer->experts(names, shape_.per_token);
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
