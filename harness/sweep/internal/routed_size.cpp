#include "harness/sweep/internal/routed_size.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/sweep/internal/model_size.h"

namespace assay {
namespace {

/// The tensors of one member.
class MemberWeights final : public TensorSource {
 public:
  MemberWeights(const TensorSource& all, size_t member)
      : all_(all), prefix_(routed_names::member_prefix(member)) {
    for (TensorInfo info : all.tensors()) {
      if (!info.name.starts_with(prefix_)) continue;
      info.name.erase(0, prefix_.size());
      values_ += info.numel();
      infos_.push_back(std::move(info));
    }
  }
  std::string label() const override { return all_.label(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override { return all_.read(prefix_ + name); }
  std::string content_hash() const override { return assay::content_hash(*this); }

  int64_t values() const { return values_; }

 private:
  const TensorSource& all_;
  const std::string prefix_;
  std::vector<TensorInfo> infos_;
  int64_t values_ = 0;
};

/// The difference that one embedding and one head make, between which the members' layers or bodies
/// lie, with projectors where these are mixed.
int64_t one_head_flops(const RoutedArchitecture& architecture) {
  const bool projected = architecture.options().mix == MemberMix::kHidden;
  int64_t widest = 0, flops = 0;
  for (const auto& member : architecture.architectures())
    widest = std::max(widest, embedding_info(*member).shape.back());
  for (const size_t i : architecture.largest_members()) {
    const int64_t own = embedding_info(*architecture.architectures()[i]).shape.back();
    flops -= 2 * architecture.vocabulary() * own;
    if (projected) flops += 2 * (own * widest + widest * own);
  }
  return flops + 2 * architecture.vocabulary() * widest;
}

}  // namespace

ModelSize routed_size(const RoutedArchitecture& architecture, const TensorSource& weights,
                      ForwardProfiles& profiles) {
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, int64_t> values;  // by the architecture's names
  ModelSize size;
  for (const TensorInfo& tensor : weights.tensors()) {
    values[canonical_name(names, tensor.name)] = tensor.numel();
    size.parameters += tensor.numel();
    size.bytes += tensor.bytes();
  }
  for (const std::string& tensor : architecture.answering_tensors())
    if (const auto found = values.find(tensor); found != values.end()) size.active += found->second;

  const MemberArchitectures& members = architecture.architectures();
  std::vector<int64_t> flops, idle;  // of each member, idle: of experts of a mixture
  int64_t of_all = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    const MemberWeights own(weights, i);
    const ModelSize of_member = model_size(*members[i], own, profiles);
    flops.push_back(of_member.flops.value());
    idle.push_back(own.values() - of_member.active);
    of_all += flops.back();
  }

  size.flops = 0;
  for (const size_t i : architecture.largest_members()) {
    *size.flops += flops[i];
    size.active -= idle[i];
  }
  const MemberMix mix = architecture.options().mix;
  if (mix == MemberMix::kLayers || mix == MemberMix::kHidden)
    *size.flops += one_head_flops(architecture);
  if (architecture.options().router == SequenceRouterKind::kPerplexity) size.router_flops = of_all;
  if (architecture.options().router == SequenceRouterKind::kTaskVectorGradient)
    size.router_flops = 3 * flops.front();
  return size;
}

}  // namespace assay
