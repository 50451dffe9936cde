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
  /// of each side; of an image model, one image), attention's own products left out. Absent of old
  /// results.
  std::optional<int64_t> flops{};
  /// What the router of a routed ensemble does in addition for one token of a prompt. Absent where
  /// it multiplies by no layer.
  std::optional<int64_t> router_flops{};
  bool operator==(const ModelSize&) const = default;
};

/// The key of it in RunRecord::diagnostics.
inline constexpr const char* kModelSize = "size";

inline void to_json(Json& json, const ModelSize& size) {
  json = {{"parameters", size.parameters}, {"active", size.active}, {"bytes", size.bytes}};
  if (size.flops) json["flops"] = *size.flops;
  if (size.router_flops) json["router_flops"] = *size.router_flops;
}
inline void from_json(const Json& json, ModelSize& size) {
  size = {json.at("parameters").get<int64_t>(), json.at("active").get<int64_t>(),
          json.at("bytes").get<int64_t>()};
  const auto read = [&](const char* key, std::optional<int64_t>& to) {
    if (const auto found = json.find(key); found != json.end()) to = found->get<int64_t>();
  };
  read("flops", size.flops);
  read("router_flops", size.router_flops);
}

}  // namespace assay
