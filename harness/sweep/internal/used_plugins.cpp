#include "harness/sweep/internal/used_plugins.h"

#include "harness/calibration/statistic.h"
#include "harness/method/plugin_components.h"
#include "harness/task/task_plugins.h"
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
  if (const auto data = data_plugin(task.definition(), task.name()))
    add_plugin_use(record, data->kind, data->name, data->plugin);
}

void note_plugins(const Architecture& architecture, RunRecord& record) {
  const std::string name = architecture.config().value("model_type", "");
  add_plugin_use(record, architectures().kind(), name, architectures().plugin_of(name));
}

}  // namespace assay
