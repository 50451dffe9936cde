/// How large a model is, as it is stored with a run and reported.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/core/json.h"

namespace assay {

struct ModelSize {
  int64_t parameters = 0;  ///< of a mixture, experts of a layer that are equal count once
  int64_t active = 0;      ///< of them those that one token is multiplied by
  int64_t bytes = 0;       ///< of the parameters, as they are stored
  /// What the layers of one forward pass multiply and add for one token (of an encoder-decoder, one
  /// of each side; of an image model, one image), attention's own products left out. Absent of
  /// routed ensembles and old results.
  std::optional<int64_t> flops{};
  bool operator==(const ModelSize&) const = default;
};

/// The key of it in RunRecord::diagnostics.
inline constexpr const char* kModelSize = "size";

inline void to_json(Json& json, const ModelSize& size) {
  json = {{"parameters", size.parameters}, {"active", size.active}, {"bytes", size.bytes}};
  if (size.flops) json["flops"] = *size.flops;
}
inline void from_json(const Json& json, ModelSize& size) {
  size = {json.at("parameters").get<int64_t>(), json.at("active").get<int64_t>(),
          json.at("bytes").get<int64_t>(), std::nullopt};
  if (const auto flops = json.find("flops"); flops != json.end())
    size.flops = flops->get<int64_t>();
}

}  // namespace assay
