/// How the stages of a tokenizer.json are made: objects whose "type" names a kind.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/json.h"

namespace assay {

/// By the "type" in the file; each reads its own keys.
template <typename Stage>
using StageMakers = std::map<std::string, std::unique_ptr<Stage> (*)(JsonReader&)>;

/// UserError naming the place and the known types when the type is not one of them, and when a key
/// is left over.
template <typename Stage>
std::unique_ptr<Stage> make_stage(JsonReader json, const std::string& kind,
                                  const StageMakers<Stage>& makers) {
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
