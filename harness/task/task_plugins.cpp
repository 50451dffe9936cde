#include "harness/task/task_plugins.h"

#include "harness/task/dataset.h"
#include "harness/task/text_file.h"

namespace assay {
namespace {

std::optional<DataPlugin> of_plugin(const RegistryNames& registry, const std::string& name) {
  const Plugin* plugin = registry.plugin_of(name);
  if (!plugin) return std::nullopt;
  return DataPlugin{registry.kind(), name, plugin};
}

}  // namespace

std::optional<DataPlugin> data_plugin(const Json& definition, const std::string& where) {
  const Json data = definition.value("dataset", Json());
  if (data.is_object()) return of_plugin(text_readers(), data.value("reader", ""));
  if (!data.is_string()) return std::nullopt;
  return of_plugin(dataset_loaders(), read_manifest(data.get<std::string>(), where).loader);
}

}  // namespace assay
