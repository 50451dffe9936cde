/// Which experts of a layer become one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

/// The members of each group of one layer's experts; every expert is in one group.
using ExpertGroups = std::vector<std::vector<int64_t>>;

enum class UsageTies {
  kFill,   ///< as many groups as were asked for, of equal usages those of the first experts
  kStrict  ///< usages above the first one that is left out: fewer groups where usages are equal
};

/// How many groups each layer has when all together have `average` for each: the experts that are
/// used most, of all layers together, and at least one of each layer. Li et al., arXiv:2310.01334
/// §3. `usages`: of each layer's experts, the share of the layer's tokens. SkipCell when with
/// kStrict no usage is above the threshold but those that are kept anyhow.
std::vector<int64_t> allocate_groups(const std::vector<std::vector<double>>& usages,
                                     int64_t average, UsageTies ties);

/// SkipCell when so many groups of `capacity` members do not hold all experts; 0: no limit.
void need_room(int64_t experts, int64_t groups, int64_t capacity);

/// M-SMoE's groups: the `groups` experts that are used most are each the first of one, and every
/// other expert, from the most used on, joins the one whose first it is most alike; of equal ones
/// the first. `similarity`: [experts, experts], larger is more alike. No group has more than
/// `capacity` members; 0: no limit. SkipCell as need_room().
ExpertGroups group_by_usage(const std::vector<double>& usage, const at::Tensor& similarity,
                            int64_t groups, int64_t capacity);

/// Average linkage: the two groups whose members are most alike in the mean over pairs become one,
/// until so many are left; of equal ones the first.
ExpertGroups group_by_linkage(const at::Tensor& similarity, int64_t groups);

/// k-means with k-means++'s start (Arthur and Vassilvitskii, SODA 2007), on vectors with these
/// inner products [experts, experts], until nothing changes or 100 turns are over. No group is
/// empty.
ExpertGroups group_by_means(const at::Tensor& products, int64_t groups, uint64_t key);

/// Groups that chance makes: a random expert for each, and every other expert in a random one.
ExpertGroups random_groups(int64_t experts, int64_t groups, uint64_t key);

}  // namespace assay
