#include "harness/core/registry.h"

#include "harness/core/hash.h"

namespace assay {
namespace {

// Constant-initialised: source files register themselves before main().
Plugin* registering = nullptr;
std::vector<void (*)()>* kept = nullptr;

std::string owner_text(const Plugin* owner) {
  return owner ? fmt::format("the plugin '{}' ({})", owner->name, owner->path.string())
               : "Assay itself";
}

}  // namespace

std::vector<std::string> RegistryNames::names() const {
  std::vector<std::string> out;
  for (const auto& [name, unused] : owners_) out.push_back(name);
  return out;
}

const Plugin* RegistryNames::plugin_of(const std::string& name) const {
  const auto it = owners_.find(name);
  return it == owners_.end() ? nullptr : it->second;
}

void RegistryNames::claim(const std::string& name) {
  const bool valid = !name.empty() && name.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyz"
                                          "0123456789_") == std::string::npos;
  if (!registering) ASSAY_CHECK(valid, "{} name '{}'", kind_, name);
  if (!valid)
    user_error("{} registers the {} '{}': a name is made of a-z, 0-9 and '_'",
               owner_text(registering), kind_, name);
  const auto [it, inserted] = owners_.emplace(name, registering);
  if (!registering) ASSAY_CHECK(inserted, "two {}s register the name '{}'", kind_, name);
  if (!inserted)
    user_error("{} registers the {} '{}', a name that {} has registered already: rename one",
               owner_text(registering), kind_, name,
               it->second == registering ? "it" : owner_text(it->second));
  if (registering) registering->entries.emplace_back(kind_, name);
}

std::string with_plugin(const std::string& text, const Plugin* plugin) {
  return plugin ? Hasher().text(text).text("plugin").text(plugin->hash).hex() : text;
}

bool register_entry(void (*add)()) {
  if (kept)
    kept->push_back(add);
  else
    add();
  return true;
}

PluginRegistration::PluginRegistration(Plugin& plugin) {
  ASSAY_CHECK(!registering, "two plugins register at once");
  registering = &plugin;
  kept = new std::vector<void (*)()>;
}

PluginRegistration::~PluginRegistration() {
  delete kept;
  kept = nullptr;
  registering = nullptr;
}

void PluginRegistration::finish() {
  for (size_t i = 0; i < kept->size(); ++i) (*kept)[i]();
}

}  // namespace assay
