#include "methods/permute/matched_evidence.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "harness/core/error.h"

namespace assay {
namespace {

/// What a statistic's tensors have units in.
enum class Contents { kNoUnits, kWeights, kInputPairs };

std::optional<Contents> contents_of(const std::string& statistic) {
  if (statistic == "fisher") return Contents::kWeights;
  if (statistic == "input_gram") return Contents::kInputPairs;
  if (statistic == "layer_sensitivity" || statistic == "expert_logits") return Contents::kNoUnits;
  return std::nullopt;
}

using Reorder = std::function<at::Tensor(const std::string& name, const at::Tensor& tensor)>;

class ReorderedSource final : public TensorSource {
 public:
  ReorderedSource(std::shared_ptr<const TensorSource> source, Reorder reorder)
      : source_(std::move(source)), reorder_(std::move(reorder)) {}
  std::string label() const override { return source_->label(); }
  const std::vector<TensorInfo>& tensors() const override { return source_->tensors(); }
  at::Tensor read(const std::string& name) const override {
    return reorder_(name, source_->read(name));
  }
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override {
    return elements(read(name).contiguous(), first, count);
  }
  std::string content_hash() const override {
    ASSAY_CHECK(false, "'{}' has no bytes of its own", label());
  }

 private:
  std::shared_ptr<const TensorSource> source_;
  Reorder reorder_;
};

/// A matrix [inputs, inputs] of what a layer reads: both sides in the order of its weight's inputs,
/// of which each channel of a convolution has several.
at::Tensor reordered_pairs(const UnitGroups& groups, const LayerInfo& layer, const at::Tensor& gram,
                           const std::vector<UnitOrder>& orders) {
  at::Tensor result = gram;
  for (const auto& [group, axis] : groups.of(layer.weight)) {
    if (axis->axis != (layer.in_out ? 0 : 1)) continue;
    const int64_t n = gram.size(0), units = groups.units(group);
    const at::Tensor index = index_of(orders[group], gram.device());
    const std::vector<int64_t> split{axis->outer, units, n / (axis->outer * units)};
    const std::vector<int64_t> both{split[0], split[1], split[2], split[0], split[1], split[2]};
    result = result.reshape(both).index_select(1, index).index_select(4, index).reshape({n, n});
  }
  return result;
}

}  // namespace

std::optional<std::string> unmatched_statistic(const std::vector<StatisticRef>& statistics) {
  for (const StatisticRef& statistic : statistics)
    if (!contents_of(statistic.name))
      return fmt::format("reads the statistic {}, which cannot be reordered", statistic.name);
  return std::nullopt;
}

std::shared_ptr<const TensorSource> MatchedEvidence::statistic(const StatisticRef& statistic,
                                                               size_t expert) const {
  auto source = own_.statistic(statistic, expert);
  const Contents contents = contents_of(statistic.name).value_or(Contents::kNoUnits);
  const std::vector<UnitOrder>& orders = orders_[expert];
  if (orders.empty() || contents == Contents::kNoUnits) return source;
  return std::make_shared<ReorderedSource>(
      std::move(source), [this, contents, &orders](const std::string& name, const at::Tensor& x) {
        if (contents == Contents::kWeights) return groups_.reordered(name, x, orders);
        const LayerInfo* layer = own_.layer(name);
        return layer ? reordered_pairs(groups_, *layer, x, orders) : x;
      });
}

}  // namespace assay
