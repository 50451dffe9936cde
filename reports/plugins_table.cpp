#include <fmt/format.h>

#include <map>

#include "reports/internal/tables.h"
#include "results/plugin_uses.h"

namespace assay {

Table plugins_table(const SweepResults& results) {
  std::map<PluginUse, int> runs;
  for (const auto* placed : distinct_runs(results))
    for (const PluginUse& use : plugin_uses(placed->run)) ++runs[use];
  Table table{.id = "plugins",
              .title = "Plugins",
              .intro =
                  "What came from libraries that were loaded at run time. The hash is of the "
                  "library's bytes.",
              .columns = {{"Kind"}, {"Name"}, {"Plugin"}, {"Hash"}, {"Runs", true}},
              .groups = {{"", {}}},
              .names = 2};
  for (const auto& [use, count] : runs)
    table.groups[0].rows.push_back(
        {{.text = use.kind},
         {.text = use.name},
         {.text = use.plugin},
         {.text = use.hash},
         {.text = fmt::format("{}", count), .sort = static_cast<double>(count)}});
  return table;
}

}  // namespace assay
