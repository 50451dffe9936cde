#include "methods/permute/partial.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace assay {
namespace {

constexpr int64_t kNoAxis = -1;

at::Tensor chosen(const at::Tensor& tensor, int64_t axis, const at::Tensor& entries) {
  return axis == kNoAxis ? tensor : tensor.index_select(axis, entries);
}

at::Tensor mean_of(const std::vector<at::Tensor>& tensors) {
  at::Tensor sum = tensors.front().clone();
  for (size_t i = 1; i < tensors.size(); ++i) sum += tensors[i];
  return sum / static_cast<double>(tensors.size());
}

}  // namespace

UnitSplit split_units(const std::vector<double>& similarities, int64_t count) {
  std::vector<int64_t> order(similarities.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return similarities[static_cast<size_t>(a)] < similarities[static_cast<size_t>(b)];
  });
  UnitSplit split;
  split.separate.assign(order.begin(), order.begin() + count);
  split.merged.assign(order.begin() + count, order.end());
  std::sort(split.separate.begin(), split.separate.end());
  std::sort(split.merged.begin(), split.merged.end());
  return split;
}

bool PartialMerge::can_widen(const UnitGroups& groups, size_t group) {
  const auto& axes = groups.groups()[group].axes;
  return std::all_of(axes.begin(), axes.end(), [&](const UnitAxis& axis) {
    return axis.outer == 1 && groups.of_axis(axis.tensor, axis.axis) == group;
  });
}

std::optional<std::pair<size_t, UnitAxis>> PartialMerge::split_of(const std::string& tensor,
                                                                  int64_t axis) const {
  for (const auto& [group, place] : groups_.of(tensor))
    if (place->axis == axis && !splits_[group].separate.empty()) return {{group, *place}};
  return std::nullopt;
}

at::Tensor PartialMerge::entries(const std::vector<int64_t>& units, int64_t inner) {
  const at::Tensor first = at::tensor(units, at::kLong) * inner;
  return (first.unsqueeze(1) + at::arange(inner, at::kLong)).flatten();
}

PartialMerge::Blocks PartialMerge::blocks(const std::string& tensor, int64_t axis,
                                          int64_t size) const {
  const auto found = split_of(tensor, axis);
  if (!found) return {{0, size}, std::vector<std::pair<int64_t, int64_t>>(models_, {size, 0})};
  const UnitSplit& split = splits_[found->first];
  const int64_t inner = found->second.inner;
  const auto merged = static_cast<int64_t>(split.merged.size()) * inner;
  const auto own = static_cast<int64_t>(split.separate.size()) * inner;
  Blocks blocks{{0, merged}, {}};
  for (size_t i = 0; i < models_; ++i)
    blocks.own.emplace_back(merged + static_cast<int64_t>(i) * own, own);
  return blocks;
}

std::vector<int64_t> PartialMerge::shape(const std::string& tensor,
                                         at::IntArrayRef of_models) const {
  std::vector<int64_t> shape = of_models.vec();
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const Blocks all = blocks(tensor, static_cast<int64_t>(axis), shape[axis]);
    shape[axis] = all.merged.second;
    for (const auto& [unused, count] : all.own) shape[axis] += count;
  }
  return shape;
}

at::Tensor PartialMerge::merged(const std::string& name, const std::vector<at::Tensor>& tensors,
                                const LayerInfo* layer) const {
  std::vector<at::Tensor> models;
  for (const at::Tensor& tensor : tensors) models.push_back(tensor.to(at::kDouble));
  const int64_t in_axis = !layer ? kNoAxis : layer->in_out ? 0 : 1;
  int64_t out = kNoAxis, in = kNoAxis;
  for (int64_t axis = 0; axis < models.front().dim(); ++axis)
    if (split_of(name, axis)) (axis == in_axis ? in : out) = axis;
  if (out == kNoAxis && in == kNoAxis) return mean_of(models);

  at::Tensor out_merged, out_own, in_merged, in_own;
  const auto choose = [&](int64_t axis, at::Tensor& of_merged, at::Tensor& own) {
    if (axis == kNoAxis) return;
    const auto found = split_of(name, axis);
    const UnitSplit& split = splits_[found->first];
    of_merged = entries(split.merged, found->second.inner).to(models.front().device());
    own = entries(split.separate, found->second.inner).to(models.front().device());
  };
  choose(out, out_merged, out_own);
  choose(in, in_merged, in_own);

  // What units of one kind read: from merged ones, then from those of each model.
  const auto rows_of = [&](const std::vector<at::Tensor>& rows, std::optional<size_t> owner) {
    std::vector<at::Tensor> read;
    for (const at::Tensor& one : rows) read.push_back(chosen(one, in, in_merged));
    at::Tensor whole = owner ? read[*owner] : mean_of(read);
    if (in == kNoAxis) return whole;
    std::vector<at::Tensor> pieces{whole};
    for (size_t i = 0; i < models_; ++i) {
      const at::Tensor own = chosen(rows[i], in, in_own);
      pieces.push_back(!owner        ? own / static_cast<double>(models_)
                       : *owner == i ? own
                                     : at::zeros_like(own));
    }
    return at::cat(pieces, in);
  };
  std::vector<at::Tensor> of_merged;
  for (const at::Tensor& model : models) of_merged.push_back(chosen(model, out, out_merged));
  at::Tensor result = rows_of(of_merged, std::nullopt);
  if (out == kNoAxis) return result;
  std::vector<at::Tensor> pieces{result}, of_own;
  for (const at::Tensor& model : models) of_own.push_back(chosen(model, out, out_own));
  for (size_t i = 0; i < models_; ++i) pieces.push_back(rows_of(of_own, i));
  return at::cat(pieces, out);
}

at::Tensor PartialMerge::values(const std::string& tensor, int64_t axis, int64_t repeat,
                                const std::vector<at::Tensor>& of_models) const {
  const auto found = split_of(tensor, axis);
  if (!found) return mean_of(of_models);
  const UnitSplit& split = splits_[found->first];
  const at::Device device = of_models.front().device();
  const int64_t inner = found->second.inner * repeat;
  const at::Tensor merged = entries(split.merged, inner).to(device);
  const at::Tensor own = entries(split.separate, inner).to(device);
  std::vector<at::Tensor> read;
  for (const at::Tensor& one : of_models) read.push_back(one.index_select(1, merged));
  std::vector<at::Tensor> pieces{mean_of(read)};
  for (const at::Tensor& one : of_models) pieces.push_back(one.index_select(1, own));
  return at::cat(pieces, 1);
}

}  // namespace assay
