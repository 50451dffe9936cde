#include "results/plugin_uses.h"

#include <algorithm>

namespace assay {
namespace {

constexpr const char* kKey = "plugins";

}  // namespace

void add_plugin_use(RunRecord& run, const std::string& kind, const std::string& name,
                    const Plugin* plugin) {
  if (!plugin) return;
  Json& uses = run.diagnostics[kKey];
  if (!uses.is_array()) uses = Json::array();  // no method's report has this name
  Json use = {{"kind", kind}, {"name", name}, {"plugin", plugin->name}, {"hash", plugin->hash}};
  if (std::find(uses.begin(), uses.end(), use) == uses.end()) uses.push_back(std::move(use));
}

std::vector<PluginUse> plugin_uses(const RunRecord& run) {
  std::vector<PluginUse> uses;
  const Json stored = run.diagnostics.value(kKey, Json::array());
  if (!stored.is_array()) return uses;
  for (const Json& use : stored)
    uses.push_back({use.at("kind"), use.at("name"), use.at("plugin"), use.at("hash")});
  return uses;
}

}  // namespace assay
