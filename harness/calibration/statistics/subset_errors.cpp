// What a mixture's layers lose with some of their experts alone: over all subsets of `kept` experts
// of a block, the squared error of the layer's output when the router can choose of these alone.
// Every layer reads what it reads in the whole model. Padding is left out.
#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/calibration/internal/router_sums.h"
#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/method/subsets.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

class SubsetObserver final : public RouterObserver {
 public:
  explicit SubsetObserver(int64_t kept) : kept_(kept) {}

  void routed(const RoutedTokens& all) override {
    const at::Tensor mask = CountedTokens::current();
    const at::Tensor rows = mask.defined()
                                ? mask.flatten().nonzero().flatten().to(all.x.device())
                                : at::arange(all.x.size(0), all.x.options().dtype(at::kLong));
    const int64_t tokens = rows.numel(), experts = all.logits.size(1);
    if (tokens == 0) return;
    const at::Tensor x = all.x.index_select(0, rows), logits = all.logits.index_select(0, rows);
    std::vector<at::Tensor> outputs;
    for (int64_t i = 0; i < experts; ++i) outputs.push_back(all.run(i, x).to(at::kDouble));
    const at::Tensor given = at::stack(outputs, 1);                // [tokens, experts, width]
    const at::Tensor products = given.bmm(given.transpose(1, 2));  // [tokens, experts, experts]
    const auto weights_of = [&](const at::Tensor& of) {
      const auto [chosen, weights] = all.choose(of);
      return at::zeros({tokens, experts}, products.options())
          .scatter(1, chosen, weights.to(at::kDouble));
    };
    const at::Tensor whole = weights_of(logits);
    std::vector<at::Tensor> errors;
    for (const std::vector<int64_t>& subset : subsets_of(experts, kept_)) {
      const at::Tensor kept =
          at::full_like(logits, -INFINITY)
              .index_copy(1, at::tensor(subset, rows.options()),
                          logits.index_select(1, at::tensor(subset, rows.options())));
      const at::Tensor lost = (weights_of(kept) - whole).unsqueeze(1);
      errors.push_back(lost.bmm(products).bmm(lost.transpose(1, 2)).sum());
    }
    sums[all.router].add({at::stack(errors).cpu(), tokens});
  }

  AllRouterSums sums;  ///< [subsets]

 private:
  int64_t kept_;
};

struct SubsetErrors {
  static constexpr StatisticInfo info{
      .name = "subset_errors",
      .paper = "arXiv:2402.14800 §3",
      .summary =
          "what a mixture's layers lose when some of their experts alone are left, for "
          "every choice of these"};

  int64_t kept = 4;

  void parameters(auto&& p) {
    p(kept, {.name = "kept", .range = {1, 64}, .help = "how many experts of a layer are left"});
  }

  AllRouterSums observe(const StatisticBatch& batch) const {
    SubsetObserver observer(kept);
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return std::move(observer.sums);
  }

  void add(const AllRouterSums& all) { add_to(sums_, all); }

  StatisticTensors finish(const NetworkShape&, int64_t /*examples*/) { return take_means(sums_); }

  int64_t working_bytes(const NetworkShape& network) const {
    return static_cast<int64_t>(network.layers.size()) * kMostSubsets *
           static_cast<int64_t>(sizeof(double));
  }

  // The outputs of all experts of one layer, which are as many as its layers read inputs at most.
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t widest = 0;
    for (const LayerInfo& layer : network.layers) widest = std::max(widest, layer.inputs);
    return 16 * tokens * widest * static_cast<int64_t>(sizeof(double));
  }

 private:
  AllRouterSums sums_;
};

ASSAY_STATISTIC(SubsetErrors)

}  // namespace
}  // namespace assay
