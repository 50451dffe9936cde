// What the routers of a mixture do with an expert's tokens: how often each expert of a block is
// chosen and with what weight, how alike the experts' logits are, and what the experts read and
// give. Padding is left out.
#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/calibration/internal/precision.h"
#include "harness/calibration/internal/router_sums.h"
#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

class RoutingObserver final : public RouterObserver {
 public:
  explicit RoutingObserver(bool outputs) : outputs_(outputs) {}

  void routed(const RoutedTokens& all) override {
    const at::Tensor mask = CountedTokens::current();
    const auto counted = [&](const at::Tensor& values) {
      if (!mask.defined()) return values;
      const at::Tensor rows = mask.flatten().nonzero().flatten().to(values.device());
      return values.index_select(0, rows);
    };
    const at::Tensor x = counted(all.x), experts = counted(all.experts);
    const int64_t tokens = x.size(0), number = all.logits.size(1);
    if (tokens == 0) return;
    const auto spread = [&](const at::Tensor& values) {  // [tokens, k] -> [tokens, experts]
      return at::zeros({tokens, number}, values.options().dtype(at::kDouble))
          .scatter(1, experts, values.to(at::kDouble));
    };
    const at::Tensor gates = counted(all.weights).to(at::kDouble);
    const at::Tensor norms = counted(all.outputs).to(at::kDouble).norm(2, -1);
    const at::Tensor chosen = spread(gates > 0);  // those that had no place left do not count
    const at::Tensor logits = counted(all.logits).to(at::kDouble);
    const at::Tensor scalars = at::stack(
        {chosen.sum(0), spread(gates).sum(0), spread(gates * norms).sum(0), logits.sum(0)}, 1);
    std::vector<at::Tensor> columns{scalars, logits.t().mm(logits),
                                    chosen.t().mm(x.to(at::kDouble))};
    if (outputs_) columns.push_back(output_sums(all, x, number));
    sums[all.router].add({at::cat(columns, 1).cpu(), tokens});
  }

  AllRouterSums sums;  ///< [experts, columns]

 private:
  static at::Tensor output_sums(const RoutedTokens& all, const at::Tensor& x, int64_t experts) {
    std::vector<at::Tensor> sums;
    for (int64_t i = 0; i < experts; ++i) sums.push_back(all.run(i, x).to(at::kDouble).sum(0));
    return at::stack(sums);
  }

  bool outputs_;
};

struct RoutingStatistic {
  static constexpr StatisticInfo info{
      .name = "routing",
      .paper = "arXiv:2310.01334 §3",
      .summary =
          "how often each expert of a mixture is chosen, with what weight, and what it "
          "reads and gives"};

  bool outputs = false;
  Precision compute = Precision::kFloat32;

  void parameters(auto&& p) {
    p(outputs, {.name = "outputs",
                .help = "whether every expert also runs on all tokens, for the mean of its outputs "
                        "(HC-SMoE, arXiv:2410.08589)"});
    p(compute, {.name = "compute",
                .choices = {"float32", "float64"},
                .help = "of the network; sums and the stored values are float64"});
  }

  at::ScalarType dtype() const { return dtype_of(compute); }

  AllRouterSums observe(const StatisticBatch& batch) const {
    RoutingObserver observer(outputs);
    row_logits(batch.network.architecture, batch.weights, batch.inputs);
    return std::move(observer.sums);
  }

  void add(const AllRouterSums& all) { add_to(sums_, all); }

  StatisticTensors finish(const NetworkShape&, int64_t /*examples*/) { return take_means(sums_); }

  // No more than one row of inputs, one of outputs and one of logits for each layer: every layer
  // could be a router.
  int64_t working_bytes(const NetworkShape& network) const {
    int64_t inputs = 0;
    for (const LayerInfo& layer : network.layers) inputs += layer.inputs;
    return 2 * inputs * static_cast<int64_t>(sizeof(double));
  }

  // The outputs of a token's experts in float64, of one layer at a time, and the sums.
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    int64_t widest = 0;
    for (const LayerInfo& layer : network.layers) widest = std::max(widest, layer.inputs);
    return 4 * tokens * widest * static_cast<int64_t>(sizeof(double)) + working_bytes(network);
  }

 private:
  AllRouterSums sums_;
};

ASSAY_STATISTIC(RoutingStatistic)

}  // namespace
}  // namespace assay
