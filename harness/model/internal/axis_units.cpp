#include "harness/model/internal/axis_units.h"

#include <algorithm>

#include "harness/core/error.h"

namespace assay {

AxisFactors AxisUnits::add(int64_t size, bool fixed) {
  if (size == 1) return {};
  const size_t factor = factors_.size();
  factors_.push_back({.size = size, .fixed = fixed, .parent = factor});
  return {factor};
}

TensorAxes AxisUnits::add(at::IntArrayRef shape, bool fixed) {
  TensorAxes axes;
  for (const int64_t size : shape) axes.push_back(add(size, fixed));
  return axes;
}

size_t AxisUnits::root(size_t factor) const {
  while (factors_[factor].parent != factor) factor = factors_[factor].parent;
  return factor;
}

void AxisUnits::append(size_t factor, AxisFactors& resolved) const {
  factor = root(factor);
  if (factors_[factor].parts.empty()) return resolved.push_back(factor);
  for (const size_t part : factors_[factor].parts) append(part, resolved);
}

AxisFactors AxisUnits::resolve(const AxisFactors& axis) const {
  AxisFactors resolved;
  for (const size_t factor : axis) append(factor, resolved);
  return resolved;
}

int64_t AxisUnits::size(const AxisFactors& axis) const {
  int64_t product = 1;
  for (const size_t factor : axis) product *= factors_[root(factor)].size;
  return product;
}

void AxisUnits::split(size_t factor, int64_t outer) {
  const Factor whole = factors_[factor];
  ASSAY_CHECK(whole.parts.empty() && whole.size % outer == 0, "a factor of {} split at {}",
              whole.size, outer);
  std::vector<size_t> parts;
  for (const int64_t size : {outer, whole.size / outer}) {
    parts.push_back(factors_.size());
    factors_.push_back(
        {.size = size, .fixed = whole.fixed, .stream = whole.stream, .parent = factors_.size()});
  }
  factors_[factor].parts = std::move(parts);
}

void AxisUnits::unite(size_t one, size_t other) {
  if (one == other) return;
  const size_t first = std::min(one, other), second = std::max(one, other);
  factors_[second].parent = first;
  factors_[first].fixed |= factors_[second].fixed;
  factors_[first].stream |= factors_[second].stream;
}

void AxisUnits::join(const AxisFactors& one, const AxisFactors& other) {
  // A split or a union may change what is left of both sides: they are resolved anew each time.
  for (size_t place = 0;; ++place) {
    const AxisFactors a = resolve(one), b = resolve(other);
    if (place >= a.size() || place >= b.size()) return;
    const int64_t a_size = factors_[a[place]].size, b_size = factors_[b[place]].size;
    if (a_size == b_size) {
      unite(a[place], b[place]);
    } else if (a_size > b_size && a_size % b_size == 0) {
      split(a[place], b_size);
      --place;
    } else if (b_size > a_size && b_size % a_size == 0) {
      split(b[place], a_size);
      --place;
    } else {
      fix(one);
      fix(other);
      return;
    }
  }
}

void AxisUnits::fix(const AxisFactors& axis) {
  for (const size_t factor : resolve(axis)) factors_[factor].fixed = true;
}

void AxisUnits::fix(const TensorAxes& axes) {
  for (const AxisFactors& axis : axes) fix(axis);
}

void AxisUnits::mark_stream(const AxisFactors& axis) {
  for (const size_t factor : resolve(axis)) factors_[factor].stream = true;
}

TensorAxes AxisUnits::reshape(const TensorAxes& axes, at::IntArrayRef shape) {
  AxisFactors all;
  for (const AxisFactors& axis : axes) all.insert(all.end(), axis.begin(), axis.end());
  TensorAxes reshaped;
  size_t place = 0;
  for (const int64_t wanted : shape) {
    AxisFactors& axis = reshaped.emplace_back();
    for (int64_t left = wanted; left > 1;) {
      const AxisFactors rest = resolve(all);
      const int64_t size = place < rest.size() ? factors_[rest[place]].size : 0;
      if (size > left && size % left == 0) {
        split(rest[place], left);
      } else if (size > 0 && left % size == 0) {
        axis.push_back(rest[place++]);
        left /= size;
      } else {
        fix(all);
        return add(shape, /*fixed=*/true);
      }
    }
  }
  return reshaped;
}

}  // namespace assay
