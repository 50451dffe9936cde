#include "harness/checkpoint/layer_stack.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"

namespace assay {

std::optional<LayerName> layer_name(const std::string& tensor) {
  constexpr size_t kMaxDigits = 6;
  for (size_t begin = 0; begin < tensor.size();) {
    const size_t end = std::min(tensor.find('.', begin), tensor.size());
    const std::string part = tensor.substr(begin, end - begin);
    if (!part.empty() && part.size() <= kMaxDigits &&
        part.find_first_not_of("0123456789") == std::string::npos)
      return LayerName{tensor.substr(0, begin), std::stoll(part)};
    begin = end + 1;
  }
  return std::nullopt;
}

LayerStack::LayerStack(const TensorSource& model, const Json& config) {
  const auto count = layer_count(config);
  if (!count)
    data_error("{}: config.json gives no number of layers, so none can be taken", model.label());
  std::map<std::string, std::set<int64_t>> stacks;
  for (const TensorInfo& info : model.tensors())
    if (const auto layer = layer_name(info.name)) stacks[layer->stack].insert(layer->index);
  std::vector<std::string> fitting, found;
  for (const auto& [stack, indices] : stacks) {
    found.push_back(fmt::format("'{}' with {}", stack, indices.size()));
    // From 0 on, without a gap.
    if (std::ssize(indices) == *count && *indices.rbegin() == *count - 1) fitting.push_back(stack);
  }
  if (fitting.size() != 1)
    data_error(
        "{}: slices need one stack of layers, and config.json says {} layers; found in the "
        "tensors' names: {}",
        model.label(), *count,
        found.empty() ? std::string("none") : fmt::format("{}", fmt::join(found, ", ")));
  stack_ = fitting.front();
  layers_.resize(static_cast<size_t>(*count));
  for (const TensorInfo& info : model.tensors()) {
    const auto layer = layer_name(info.name);
    if (layer && layer->stack == stack_)
      layers_[static_cast<size_t>(layer->index)].push_back(&info);
    else
      outside_.push_back(&info);
  }
}

std::string LayerStack::renumbered(const std::string& tensor, int64_t layer) const {
  return fmt::format("{}{}{}", stack_, layer, tensor.substr(tensor.find('.', stack_.size())));
}

}  // namespace assay
