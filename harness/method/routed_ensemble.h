/// What the folder of a routed ensemble says (docs/routed-ensembles.md): the names in its
/// config.json and those of its tensors, for the method that makes one and the architecture that
/// runs it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/error.h"

namespace assay {

/// What decides, by a prompt, which members answer.
enum class SequenceRouterKind {
  kPerplexity,
  kTaskVectorGradient,
  kSequenceEmbedding,
  kTfidf,
  kLogistic,
  kRandom,
  kUniform
};
inline std::vector<std::string_view> sequence_router_names() {
  return {"perplexity", "task_vector_gradient", "sequence_embedding", "tfidf", "logistic", "random",
          "uniform"};
}

/// What of the members that answer is summed by their shares.
enum class MemberMix { kProbabilities, kLogits, kLayers, kHidden };
inline std::vector<std::string_view> member_mix_names() {
  return {"probabilities", "logits", "layers", "hidden"};
}

/// Of tensors.
namespace routed_names {

inline constexpr std::string_view kMembers = "members.", kRouter = "router.",
                                  kProjectors = "projectors.";
inline constexpr const char* kEmbedding = "embedding.weight";
inline constexpr const char* kHead = "head.weight";

/// Of the router's, after kRouter.
inline constexpr const char* kRouterEmbedding = "embedding.weight";
inline constexpr const char* kRouterRows = "rows.weight";
inline constexpr const char* kRouterIdf = "idf.weight";
inline constexpr const char* kRouterBase = "base.";

inline std::string member_prefix(size_t member) { return fmt::format("{}{}.", kMembers, member); }
inline std::string of_router(std::string_view name) { return fmt::format("{}{}", kRouter, name); }
inline std::string projector_in(size_t member) {
  return fmt::format("{}{}.in.weight", kProjectors, member);
}
inline std::string projector_out(size_t member) {
  return fmt::format("{}{}.out.weight", kProjectors, member);
}

}  // namespace routed_names
}  // namespace assay
