#include "methods/moe/expert_groups.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/rng.h"

namespace assay {
namespace {

/// Indices of values, the largest first; of equal ones in their order.
std::vector<size_t> descending(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

/// A matrix that is read entry by entry.
class Entries {
 public:
  explicit Entries(const at::Tensor& matrix)
      : matrix_(matrix.to(at::kCPU, at::kDouble).contiguous()),
        values_(matrix_.const_data_ptr<double>()) {}
  int64_t size() const { return matrix_.size(0); }
  double operator()(int64_t i, int64_t j) const { return values_[i * matrix_.size(1) + j]; }

 private:
  at::Tensor matrix_;
  const double* values_;
};

/// Groups by their first members, and each by its members' numbers.
void put_in_order(ExpertGroups& groups) {
  for (auto& group : groups) std::sort(group.begin(), group.end());
  std::sort(groups.begin(), groups.end());
}

}  // namespace

std::vector<int64_t> allocate_groups(const std::vector<std::vector<double>>& usages,
                                     int64_t average, UsageTies ties) {
  std::vector<double> all;
  std::vector<size_t> layer_of;
  for (size_t i = 0; i < usages.size(); ++i) {
    const auto most = std::max_element(usages[i].begin(), usages[i].end());
    for (auto usage = usages[i].begin(); usage != usages[i].end(); ++usage) {
      all.push_back(usage == most ? 1 : *usage);
      layer_of.push_back(i);
    }
  }
  const size_t total = static_cast<size_t>(average) * usages.size();
  const std::vector<size_t> order = descending(all);
  std::vector<int64_t> groups(usages.size(), 0);
  const bool strict = ties == UsageTies::kStrict && total < all.size();
  const double threshold = strict ? all[order[total]] : 0;
  if (strict && threshold == 1)
    throw SkipCell(
        "no usage of experts is above the threshold that decides how many groups a layer has: "
        "'ties' can be fill");
  for (size_t i = 0; i < std::min(total, all.size()); ++i)
    if (!strict || all[order[i]] > threshold) ++groups[layer_of[order[i]]];
  return groups;
}

void need_room(int64_t experts, int64_t groups, int64_t capacity) {
  if (capacity > 0 && groups * capacity < experts)
    throw SkipCell(fmt::format("{} groups of {} experts at most ('capacity') do not hold {}",
                               groups, capacity, experts));
}

ExpertGroups group_by_usage(const std::vector<double>& usage, const at::Tensor& similarity,
                            int64_t groups, int64_t capacity) {
  need_room(std::ssize(usage), groups, capacity);
  const Entries alike(similarity);
  const std::vector<size_t> order = descending(usage);
  ExpertGroups made;
  for (size_t place = 0; place < order.size(); ++place) {
    const auto expert = static_cast<int64_t>(order[place]);
    if (static_cast<int64_t>(place) < groups) {
      made.push_back({expert});
      continue;
    }
    std::vector<int64_t>* best = nullptr;
    for (auto& group : made) {
      if (capacity > 0 && static_cast<int64_t>(group.size()) >= capacity) continue;
      if (!best || alike(expert, group.front()) > alike(expert, best->front())) best = &group;
    }
    ASSAY_CHECK(best, "{} groups have room for {} experts", groups, usage.size());
    best->push_back(expert);
  }
  return made;
}

ExpertGroups group_by_linkage(const at::Tensor& similarity, int64_t groups) {
  const Entries alike(similarity);
  ExpertGroups made;
  for (int64_t i = 0; i < alike.size(); ++i) made.push_back({i});
  while (static_cast<int64_t>(made.size()) > groups) {
    size_t first = 0, second = 1;
    double highest = -std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < made.size(); ++i)
      for (size_t j = i + 1; j < made.size(); ++j) {
        double sum = 0;
        for (const int64_t a : made[i])
          for (const int64_t b : made[j]) sum += alike(a, b);
        const double mean = sum / static_cast<double>(made[i].size() * made[j].size());
        if (mean <= highest) continue;
        highest = mean;
        first = i;
        second = j;
      }
    made[first].insert(made[first].end(), made[second].begin(), made[second].end());
    made.erase(made.begin() + static_cast<std::ptrdiff_t>(second));
  }
  put_in_order(made);
  return made;
}

ExpertGroups group_by_means(const at::Tensor& products, int64_t groups, uint64_t key) {
  constexpr int kTurns = 100;
  const Entries product(products);
  const int64_t experts = product.size();
  const auto own_products = [&](const std::vector<int64_t>& group) {
    double own = 0;
    for (const int64_t a : group)
      for (const int64_t b : group) own += product(a, b);
    return own;
  };
  // The squared distance of a vector to the mean of a group's; `own`: the group's own products.
  const auto distance = [&](int64_t expert, const std::vector<int64_t>& group, double own) {
    double cross = 0;
    for (const int64_t a : group) cross += product(expert, a);
    const auto n = static_cast<double>(group.size());
    return std::max(0.0, product(expert, expert) - 2 * cross / n + own / (n * n));
  };
  Rng rng(key);
  ExpertGroups made{{rng.below(experts)}};
  while (static_cast<int64_t>(made.size()) < groups) {
    std::vector<double> nearest;
    for (int64_t i = 0; i < experts; ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (const auto& group : made)
        least = std::min(least, group.front() == i ? 0 : distance(i, group, own_products(group)));
      nearest.push_back(least);
    }
    double left = rng.uniform() * std::accumulate(nearest.begin(), nearest.end(), 0.0);
    int64_t drawn = -1;
    for (int64_t i = 0; i < experts; ++i) {
      const bool taken = std::any_of(made.begin(), made.end(),
                                     [i](const auto& group) { return group.front() == i; });
      if (taken) continue;
      drawn = i;  // the last one where all others are equal to one that was taken
      left -= nearest[static_cast<size_t>(i)];
      if (left < 0) break;
    }
    made.push_back({drawn});
  }
  for (int turn = 0; turn < kTurns; ++turn) {
    ExpertGroups next(made.size());
    std::vector<double> own;
    own.reserve(made.size());
    for (const auto& group : made) own.push_back(own_products(group));
    for (int64_t i = 0; i < experts; ++i) {
      size_t best = 0;
      for (size_t g = 1; g < made.size(); ++g)
        if (distance(i, made[g], own[g]) < distance(i, made[best], own[best])) best = g;
      next[best].push_back(i);
    }
    // An empty group takes the first expert of the largest one.
    for (auto& group : next)
      if (group.empty()) {
        auto& largest =
            *std::max_element(next.begin(), next.end(),
                              [](const auto& a, const auto& b) { return a.size() < b.size(); });
        group.push_back(largest.front());
        largest.erase(largest.begin());
      }
    const bool same = next == made;
    made = std::move(next);
    if (same) break;
  }
  put_in_order(made);
  return made;
}

ExpertGroups random_groups(int64_t experts, int64_t groups, uint64_t key) {
  Rng rng(key);
  const std::vector<int64_t> order = rng.permutation(experts);
  ExpertGroups made(static_cast<size_t>(groups));
  for (int64_t i = 0; i < experts; ++i)
    made[static_cast<size_t>(i < groups ? i : rng.below(groups))].push_back(
        order[static_cast<size_t>(i)]);
  put_in_order(made);
  return made;
}

}  // namespace assay
