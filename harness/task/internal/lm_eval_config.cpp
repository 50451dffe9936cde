#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/internal/lm_eval_task.h"

namespace assay {
namespace {

constexpr int kMaxIncludes = 10;

}  // namespace

LmEvalConfig LmEvalConfig::read(const std::filesystem::path& file) {
  LmEvalConfig config;
  config.where_ = file.string();
  config.include(file, 0);
  return config;
}

void LmEvalConfig::include(const std::filesystem::path& file, int depth) {
  if (depth > kMaxIncludes) user_error("{}: more than {} includes", where_, kMaxIncludes);
  const YamlNode root = parse_yaml(read_file(file), file.string());
  if (!root.is_map()) user_error("{}:{}: expected a map of keys", file.string(), root.line);
  if (const YamlNode* base = root.find("include")) {
    const std::vector<YamlNode> bases = base->is_list() ? base->items : std::vector{*base};
    for (const YamlNode& one : bases) {
      if (!one.is_scalar())
        user_error("{}:{}: 'include' is expected to name a file", file.string(), one.line);
      include(file.parent_path() / one.text, depth + 1);
    }
  }
  for (const YamlEntry& entry : root.entries) {
    if (entry.key == "include") continue;
    const auto known = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const auto& old) { return old.first == entry.key; });
    Entry made{entry.value, file.string()};
    made.value.line = entry.line;
    if (known == entries_.end())
      entries_.emplace_back(entry.key, std::move(made));
    else
      known->second = std::move(made);
  }
}

const YamlNode* LmEvalConfig::find(const std::string& key) const {
  for (const auto& [name, entry] : entries_)
    if (name == key && !entry.value.is_null()) return &entry.value;
  return nullptr;
}

const YamlNode& LmEvalConfig::at(const std::string& key) const {
  const YamlNode* found = find(key);
  if (!found) user_error("{}: the key '{}' is missing", where_, key);
  return *found;
}

void LmEvalConfig::fail(const std::string& key, const std::string& what) const {
  for (const auto& [name, entry] : entries_)
    if (name == key) user_error("{}:{}: '{}': {}", entry.file, entry.value.line, key, what);
  user_error("{}: '{}': {}", where_, key, what);
}

}  // namespace assay
