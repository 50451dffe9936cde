/// The names of a routed ensemble's tensors (docs/routed-ensembles.md).
#pragma once

#include <cstddef>
#include <string>

#include "harness/core/error.h"

namespace assay::routed_names {

inline const std::string kRouter = "router.";
inline constexpr const char* kEmbedding = "embedding.weight";
inline constexpr const char* kHead = "head.weight";

inline std::string member_prefix(size_t member) { return fmt::format("members.{}.", member); }
inline std::string projector_in(size_t member) {
  return fmt::format("projectors.{}.in.weight", member);
}
inline std::string projector_out(size_t member) {
  return fmt::format("projectors.{}.out.weight", member);
}

}  // namespace assay::routed_names
