#include "methods/permute/weight_products.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/parallel.h"

namespace assay {
namespace {

/// Rows of a product that one thread computes.
constexpr int64_t kBlockRows = 256;

/// a bᵀ.
at::Tensor products_of_rows(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor columns = b.t();
  at::Tensor products = at::empty({a.size(0), b.size(0)}, a.options());
  concurrently((a.size(0) + kBlockRows - 1) / kBlockRows, [&](int64_t block) {
    const int64_t first = block * kBlockRows, rows = std::min(kBlockRows, a.size(0) - first);
    at::Tensor out = products.narrow(0, first, rows);
    at::mm_out(out, a.narrow(0, first, rows), columns);
  });
  return products;
}

}  // namespace

WeightProducts::WeightProducts(const UnitGroups& groups, const StateDict& first,
                               const StateDict& other)
    : units_(groups), first_(first), other_(other), groups_(groups.size()) {
  for (size_t i = 0; i < groups.size(); ++i)
    for (const UnitAxis& axis : groups.groups()[i].axes) {
      if (is_running_moment(axis.tensor)) continue;
      Part part{&axis, {}, {}, {}};
      for (const auto& [group, place] : groups.of(axis.tensor))
        if (place != &axis) part.others.push_back(group);
      groups_[i].parts.push_back(std::move(part));
    }
  // As much as the two networks take in float64: enough for all of a ResNet's.
  for (const auto& [name, weight] : first) may_keep_ += 16 * weight.numel();
}

at::Tensor WeightProducts::of(size_t group, const std::vector<UnitOrder>& orders) {
  Group& of = groups_[group];
  const int64_t units = units_.units(group), bytes = 8 * units * units;
  bool changed = !of.sum.defined();
  for (Part& part : of.parts) {
    std::vector<UnitOrder> now;
    for (const size_t other : part.others) now.push_back(orders[other]);
    if (of.sum.defined() && part.orders == now) continue;
    part.orders = std::move(now);
    changed = true;
    if (!part.products.defined()) continue;
    part.products = at::Tensor();
    may_keep_ += bytes;
  }
  if (!changed) return of.sum;
  of.sum = at::zeros({units, units}, at::kDouble);
  for (Part& part : of.parts) {
    const at::Tensor products =
        part.products.defined() ? part.products : products_of(part, units, orders);
    of.sum += products;
    if (part.products.defined() || bytes > may_keep_) continue;
    part.products = products;
    may_keep_ -= bytes;
  }
  return of.sum;
}

at::Tensor WeightProducts::products_of(const Part& part, int64_t units,
                                       const std::vector<UnitOrder>& orders) const {
  const UnitAxis& axis = *part.axis;
  const at::Tensor b = units_.reordered(axis.tensor, other_.at(axis.tensor), orders, &axis);
  return products_of_rows(unit_rows(first_.at(axis.tensor), axis, units), unit_rows(b, axis, units))
      .cpu();
}

}  // namespace assay
