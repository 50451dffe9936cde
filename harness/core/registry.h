/// Named things that register themselves from their own source file: methods, architectures, task
/// kinds, dataset loaders. One registry of each kind exists, in the core library, for built-in
/// entries and those of plugins alike.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/error.h"

namespace assay {

/// A library loaded at run time. It lives as long as the process.
struct Plugin {
  std::string name;            ///< "mine" of libmine.so
  std::filesystem::path path;  ///< absolute, links followed
  std::string hash;            ///< of the file's bytes
  /// (kind, name) of what it has registered, in that order: ("method", "median").
  std::vector<std::pair<std::string, std::string>> entries{};
};

/// The names of a registry and who registered them.
class RegistryNames {
 public:
  explicit RegistryNames(std::string kind) : kind_(std::move(kind)) {}

  const std::string& kind() const { return kind_; }
  /// In alphabetical order.
  std::vector<std::string> names() const;
  /// Null: the entry is built in, or there is none.
  const Plugin* plugin_of(const std::string& name) const;

 protected:
  /// Names are [a-z0-9_]+ and unique. Anything else is a UserError in a plugin; in the program it
  /// is a bug, and aborts.
  void claim(const std::string& name);

 private:
  std::string kind_;
  std::map<std::string, const Plugin*> owners_;
};

template <typename Entry>
class Registry : public RegistryNames {
 public:
  using RegistryNames::RegistryNames;

  /// Errors as claim().
  bool add(const std::string& name, Entry entry) {
    claim(name);
    entries_.emplace(name, std::move(entry));
    return true;
  }

  /// UserError with the nearest known name when there is no such entry; `where` names the place
  /// that asked for it.
  const Entry& at(const std::string& name, const std::string& where) const {
    const auto it = entries_.find(name);
    if (it == entries_.end()) throw UserError(unknown_name(kind(), name, where, names()));
    return it->second;
  }

 private:
  std::map<std::string, Entry> entries_;
};

/// What stands for `text`, a hash or a version, in the keys of scores: with the hash of the plugin
/// that it is of. Itself where there is none.
std::string with_plugin(const std::string& text, const Plugin* plugin);

/// What a source file does at namespace scope to register something. In a plugin `add` runs once
/// the library is open: what it throws could not be caught within dlopen().
bool register_entry(void (*add)());

/// While one exists, entries belong to the plugin, and register_entry() keeps what it is given.
/// Not for several threads.
class PluginRegistration {
 public:
  explicit PluginRegistration(Plugin& plugin);
  ~PluginRegistration();
  PluginRegistration(const PluginRegistration&) = delete;
  PluginRegistration& operator=(const PluginRegistration&) = delete;

  /// Registers what was kept. Throws what the plugin throws.
  void finish();
};

}  // namespace assay

#define ASSAY_JOINED_TEXT(a, b) a##b
#define ASSAY_JOINED(a, b) ASSAY_JOINED_TEXT(a, b)
/// register_entry() at namespace scope, as often as a file likes: with the name of a constant that
/// is nobody else's.
#define ASSAY_REGISTER(...)                                                         \
  [[maybe_unused]] static const bool ASSAY_JOINED(assay_registered_, __COUNTER__) = \
      ::assay::register_entry(__VA_ARGS__);
