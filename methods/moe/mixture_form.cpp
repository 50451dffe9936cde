#include "methods/moe/mixture_form.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

const std::vector<MixtureForm>& forms() {
  static const std::vector<MixtureForm> all{{.type = "mixtral",
                                             .layer = "block_sparse_moe.",
                                             .gate = "w1",
                                             .up = "w3",
                                             .down = "w2",
                                             .shared = "",
                                             .made_of = {"llama", "mistral"}},
                                            {.type = "deepseek",
                                             .layer = "mlp.",
                                             .gate = "gate_proj",
                                             .up = "up_proj",
                                             .down = "down_proj",
                                             .shared = "shared_experts.",
                                             .made_of = {"llama", "mistral"}},
                                            {.type = "qwen2_moe",
                                             .layer = "mlp.",
                                             .gate = "gate_proj",
                                             .up = "up_proj",
                                             .down = "down_proj",
                                             .shared = "shared_expert.",
                                             .needs_shared = true,
                                             .made_of = {"llama", "mistral", "qwen2"}},
                                            {.type = "qwen3_moe",
                                             .layer = "mlp.",
                                             .gate = "gate_proj",
                                             .up = "up_proj",
                                             .down = "down_proj",
                                             .shared = "",
                                             .made_of = {"qwen3"}}};
  return all;
}

constexpr std::string_view kWeight = ".weight", kSharedGate = "shared_expert_gate";

std::string_view matrix_of(const MixtureForm& form, FeedForwardPart::Kind kind) {
  if (kind == FeedForwardPart::Kind::kGate) return form.gate;
  return kind == FeedForwardPart::Kind::kUp ? form.up : form.down;
}

}  // namespace

const MixtureForm& mixture_form(std::string_view type) {
  for (const MixtureForm& form : forms())
    if (form.type == type) return form;
  user_error("'{}' is no form of mixtures", type);
}

const MixtureForm& usual_form(const Json& dense, bool shared) {
  const std::string type = dense.is_object() ? dense.value("model_type", "") : std::string();
  const MixtureForm* found = nullptr;
  std::set<std::string_view> known;
  for (const MixtureForm& form : forms()) {
    known.insert(form.made_of.begin(), form.made_of.end());
    if (std::find(form.made_of.begin(), form.made_of.end(), type) == form.made_of.end()) continue;
    // A family with one form says itself what it lacks.
    if (!found || (shared != form.shared.empty() && shared == found->shared.empty())) found = &form;
  }
  if (found) return *found;
  throw SkipCell(fmt::format("moe makes mixtures of models of the types {}, found '{}'",
                             fmt::join(known, ", "), type));
}

std::optional<FeedForwardPart> feed_forward_part(const std::string& tensor) {
  using Kind = FeedForwardPart::Kind;
  constexpr std::array<std::pair<std::string_view, Kind>, 3> kParts = {
      {{"mlp.gate_proj.weight", Kind::kGate},
       {"mlp.up_proj.weight", Kind::kUp},
       {"mlp.down_proj.weight", Kind::kDown}}};
  for (const auto& [end, kind] : kParts)
    if (tensor.ends_with(fmt::format(".{}", end)))
      return FeedForwardPart{tensor.substr(0, tensor.size() - end.size()), kind};
  return std::nullopt;
}

MixtureTensor mixture_tensor(const std::string& name) {
  using Kind = MixtureTensor::Kind;
  for (const MixtureForm& form : forms()) {
    const std::string layer = fmt::format(".{}", form.layer);
    const size_t found = name.find(layer);
    if (found == std::string::npos) continue;
    const std::string_view own = std::string_view(name).substr(found + layer.size());
    const bool down = own.ends_with(fmt::format(".{}{}", form.down, kWeight));
    constexpr std::string_view kExperts = "experts.";
    if (own == fmt::format("gate{}", kWeight)) return {.kind = Kind::kGate};
    if (own == slots_name(fmt::format("gate{}", kWeight))) return {.kind = Kind::kSlots};
    if (own == fmt::format("{}{}", kSharedGate, kWeight)) return {.kind = Kind::kSharedGate};
    if (own.starts_with(kExperts)) {
      size_t expert = 0;
      std::from_chars(own.data() + kExperts.size(), own.data() + own.size(), expert);
      return {Kind::kExpert, expert, down};
    }
    if (!form.shared.empty() && own.starts_with(form.shared))
      return {.kind = Kind::kShared, .down = down};
  }
  return {};
}

std::string expert_name(const MixtureForm& form, const FeedForwardPart& part, size_t expert) {
  return fmt::format("{}{}experts.{}.{}{}", part.block, form.layer, expert,
                     matrix_of(form, part.kind), kWeight);
}

std::string shared_name(const MixtureForm& form, const FeedForwardPart& part) {
  return fmt::format("{}{}{}{}{}", part.block, form.layer, form.shared, matrix_of(form, part.kind),
                     kWeight);
}

std::string gate_name(const MixtureForm& form, const std::string& block) {
  return fmt::format("{}{}gate{}", block, form.layer, kWeight);
}

std::string shared_gate_name(const MixtureForm& form, const std::string& block) {
  return fmt::format("{}{}{}{}", block, form.layer, kSharedGate, kWeight);
}

std::string slots_name(const std::string& router) {
  return fmt::format("{}.slots", router.substr(0, router.size() - kWeight.size()));
}

}  // namespace assay
