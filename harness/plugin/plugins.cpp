#include "harness/plugin/plugins.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/paths.h"
#include "harness/plugin/internal/exported_text.h"

extern "C" const char assay_plugin_abi[];  // abi.cpp

namespace assay {
namespace {

constexpr const char* kSymbol = "assay_plugin_abi";
constexpr size_t kShownDigits = 12;

// Entries hold the addresses of plugins.
std::deque<Plugin>& loaded() {
  static std::deque<Plugin> all;
  return all;
}

std::string name_of(const fs::path& file) {
  const std::string stem = utf8_text(file.stem().string());
  return stem.starts_with("lib") && stem.size() > 3 ? stem.substr(3) : stem;
}

void check_abi(const std::string& content, const std::string& where) {
  const auto found = exported_text(content, kSymbol, where);
  if (!found)
    user_error("{} is no plugin: it lacks the symbol {}, which assay_add_plugin() gives it", where,
               kSymbol);
  if (*found != plugin_abi())
    user_error(
        "{} was built for another Assay: it has '{}', this program '{}'. Build it again "
        "with this installation",
        where, utf8_text(*found), plugin_abi());
}

// Errors of a plugin's code, whatever it throws, as a UserError.
void run_code_of(const std::string& where, const std::function<void()>& code) {
  try {
    code();
  } catch (const UserError&) {  // already says whose it is
    throw;
  } catch (const std::exception& e) {
    user_error("{} failed while it registered itself: {}", where, e.what());
  } catch (...) {
    user_error("{} failed while it registered itself: it threw no std::exception", where);
  }
}

std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> files;
  try {
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".so") files.push_back(entry.path());
  } catch (const fs::filesystem_error& e) {
    user_error("the folder of plugins '{}' cannot be read: {}", utf8_text(folder.string()),
               e.code().message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string_view plugin_abi() { return assay_plugin_abi; }

const std::deque<Plugin>& plugins() { return loaded(); }

void load_plugin(const fs::path& file) {
  const std::string where = fmt::format("the plugin '{}'", utf8_text(file.string()));
  if (!path_exists(file)) user_error("{} is not there", where);
  if (!fs::is_regular_file(file)) user_error("{} is no file", where);
  const fs::path path = fs::canonical(file);
  for (const Plugin& other : loaded())
    if (other.path == path) return;

  const std::string content = read_file(path);
  check_abi(content, where);
  Plugin& plugin = loaded().emplace_back(
      Plugin{name_of(path), path, Hasher().bytes(content.data(), content.size()).hex()});
  PluginRegistration registration(plugin);
  run_code_of(where, [&] {
    // Initialisers of a library throw through dlopen(), which is declared noexcept: where the
    // compiler sees that it is called, it leaves out the way to a catch.
    void* (*volatile open)(const char*, int) = ::dlopen;
    // Never closed: what it registers lives as long as the process.
    if (!open(path.c_str(), RTLD_NOW | RTLD_LOCAL))
      user_error("{} cannot be opened: {}", where, ::dlerror());
    registration.finish();
  });
  if (plugin.entries.empty()) user_error("{} registers nothing", where);
}

void load_plugins_of_environment() {
  const char* list = std::getenv("ASSAY_PLUGIN_PATH");
  std::string_view rest = list ? list : "";
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const fs::path path(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (path.empty()) continue;
    if (!path_exists(path))
      user_error("ASSAY_PLUGIN_PATH names '{}', which is not there", utf8_text(path.string()));
    if (!fs::is_directory(path)) {
      load_plugin(path);
      continue;
    }
    for (const fs::path& file : libraries_in(path)) load_plugin(file);
  }
}

std::string plugin_text(const Plugin& plugin) {
  return fmt::format("the plugin {} ({})", plugin.name, plugin.hash.substr(0, kShownDigits));
}

Json plugin_json(const Plugin* plugin) {
  return plugin ? Json{{"name", plugin->name}, {"hash", plugin->hash}} : Json();
}

}  // namespace assay
