/// Libraries loaded at run time, whose methods, statistics, architectures, task kinds and data set
/// loaders join those of the program. See docs/plugins.md.
#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <string_view>

#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// With what this program and every plugin of it are built: version of the interface, compiler,
/// standard library, LibTorch, and a hash of the public headers' declarations.
std::string_view plugin_abi();

/// Opens the library and registers what it holds; nothing where it is loaded already. Nothing of it
/// runs before its ABI is known to be this program's. UserError, naming the file: it is not there,
/// no library, no plugin, of another ABI, has a name that is taken, or throws; the process is then
/// to end, since part of it may be registered. Before any other thread runs.
void load_plugin(const std::filesystem::path& file);

/// Those that the environment variable ASSAY_PLUGIN_PATH names: files, and folders with all their
/// files that end in .so, separated by colons. Errors as load_plugin().
void load_plugins_of_environment();

/// In the order of loading.
const std::deque<Plugin>& plugins();

/// "the plugin mine (0123456789ab)".
std::string plugin_text(const Plugin& plugin);
/// {"name", "hash"}; null for null.
Json plugin_json(const Plugin* plugin);

}  // namespace assay
