/// How large a model is, as it is stored with a run and reported.
#pragma once

#include <cstdint>

#include "harness/core/json.h"

namespace assay {

struct ModelSize {
  int64_t parameters = 0;  ///< of a mixture, experts of a layer that are equal count once
  int64_t active = 0;      ///< of them those that one token is multiplied by
  int64_t bytes = 0;       ///< of the parameters, as they are stored
  bool operator==(const ModelSize&) const = default;
};

/// The key of it in RunRecord::diagnostics.
inline constexpr const char* kModelSize = "size";

inline void to_json(Json& json, const ModelSize& size) {
  json = {{"parameters", size.parameters}, {"active", size.active}, {"bytes", size.bytes}};
}
inline void from_json(const Json& json, ModelSize& size) {
  size = {json.at("parameters").get<int64_t>(), json.at("active").get<int64_t>(),
          json.at("bytes").get<int64_t>()};
}

}  // namespace assay
