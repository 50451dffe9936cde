/// Factories for the stages of a tokenizer.json: objects whose "type" names a kind.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/json.h"

namespace assay {

/// Factories by "type"; each reads its own keys.
template <typename Stage>
using StageFactories = std::map<std::string, std::unique_ptr<Stage> (*)(JsonReader&)>;

/// UserError naming the place and the known types on an unknown type, and on an unknown key.
template <typename Stage>
std::unique_ptr<Stage> make_stage(JsonReader json, const std::string& kind,
                                  const StageFactories<Stage>& makers) {
  const std::string type = json.string("type");
  const auto maker = makers.find(type);
  if (maker == makers.end()) {
    std::vector<std::string> known;
    for (const auto& [name, unused] : makers) known.push_back(name);
    throw UserError(unknown_name(kind, type, json.where(), known));
  }
  auto stage = maker->second(json);
  json.finish();
  return stage;
}

/// The value of a key, unless that is missing or null.
inline std::optional<JsonReader> present(JsonReader& json, const std::string& key) {
  auto found = json.find(key);
  if (found && found->json().is_null()) found.reset();
  return found;
}

}  // namespace assay
