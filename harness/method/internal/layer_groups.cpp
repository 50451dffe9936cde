#include "harness/method/internal/layer_groups.h"

#include <algorithm>
#include <array>

#include "harness/core/error.h"
#include "harness/core/glob.h"

namespace assay {
namespace {

constexpr std::array<const char*, 3> kThirds{"first", "middle", "last"};

bool is_third(const std::string& group) {
  return std::find(kThirds.begin(), kThirds.end(), group) != kThirds.end();
}

bool is_glob(const std::string& group) { return group != "*" && !is_third(group); }

}  // namespace

LayerGroups::LayerGroups(std::string where, const std::map<std::string, Json>& values,
                         const std::vector<std::string>& tensors, const BlockOfTensor& blocks)
    : where_(std::move(where)), values_(values), blocks_(blocks) {
  for (const auto& [tensor, block] : blocks) num_blocks_ = std::max(num_blocks_, block + 1);
  for (const auto& [group, value] : values_) check_group(group, tensors);
}

const Json& LayerGroups::value(const std::string& tensor) const {
  const std::pair<const std::string, Json>* found = nullptr;
  for (const auto& entry : values_) {
    if (!is_glob(entry.first) || !matches_glob(entry.first, tensor)) continue;
    if (found && found->second != entry.second)
      user_error(
          "{}: the tensor '{}' is in the groups '{}' ({}) and '{}' ({}); make one of the globs "
          "narrower",
          where_, tensor, found->first, canonical(found->second), entry.first,
          canonical(entry.second));
    found = &entry;
  }
  if (found) return found->second;
  const auto third = values_.find(third_of(tensor));
  return third != values_.end() ? third->second : values_.at("*");
}

// Empty for tensors outside the blocks.
std::string LayerGroups::third_of(const std::string& tensor) const {
  const auto block = blocks_.find(tensor);
  if (block == blocks_.end()) return "";
  return kThirds.at(static_cast<size_t>(3 * (2 * block->second + 1) / (2 * num_blocks_)));
}

void LayerGroups::check_group(const std::string& group,
                              const std::vector<std::string>& tensors) const {
  if (group == "*") return;
  if (is_third(group)) {
    if (blocks_.empty())
      user_error(
          "{}: '{}' names a third of the transformer blocks, and the models have none that are "
          "known; name tensors with globs",
          where_, group);
    if (std::none_of(tensors.begin(), tensors.end(),
                     [&](const std::string& tensor) { return third_of(tensor) == group; }))
      user_error("{}: no tensor is in '{}': the models have {} transformer block(s)", where_, group,
                 num_blocks_);
  } else if (std::none_of(tensors.begin(), tensors.end(),
                          [&](const std::string& tensor) { return matches_glob(group, tensor); })) {
    user_error("{}: no tensor's name matches the layer group '{}'.{}", where_, group,
               suggestion(group, tensors));
  }
}

}  // namespace assay
