#include "harness/sweep/internal/used_plugins.h"

#include "harness/calibration/statistic.h"
#include "harness/method/plugin_components.h"
#include "harness/task/text_file.h"
#include "results/plugin_uses.h"

namespace assay {

void note_plugins(const Cell& cell, RunRecord& record) {
  if (cell.kind != CellKind::kMerge) return;
  for (const PluginComponent& part : plugin_components(cell.method, cell.parameters))
    add_plugin_use(record, part.kind, part.name, part.plugin);
  for (const StatisticJob& job : cell.statistic_jobs())
    add_plugin_use(record, statistics().kind(), job.statistic,
                   statistics().plugin_of(job.statistic));
}

void note_plugins(const Task& task, RunRecord& record) {
  add_plugin_use(record, "task", task.name(), task.plugin());
  if (task.plugin()) return;  // a kind of a plugin says itself what its keys mean
  const Json data = task.definition().value("dataset", Json());
  if (data.is_object()) {
    const std::string reader = data.value("reader", "");
    add_plugin_use(record, text_readers().kind(), reader, text_readers().plugin_of(reader));
  } else if (data.is_string()) {
    const std::string loader = read_manifest(data.get<std::string>(), task.name()).loader;
    add_plugin_use(record, dataset_loaders().kind(), loader, dataset_loaders().plugin_of(loader));
  }
}

void note_plugins(const Architecture& architecture, RunRecord& record) {
  const std::string name = architecture.config().value("model_type", "");
  add_plugin_use(record, architectures().kind(), name, architectures().plugin_of(name));
}

}  // namespace assay
