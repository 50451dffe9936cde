#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/renderers.h"
#include "reports/internal/scaling.h"
#include "reports/internal/searches.h"
#include "reports/internal/summary.h"

namespace assay {
namespace {

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json interval_json(const std::optional<Interval>& interval) {
  return interval ? Json{interval->low, interval->high} : Json();
}

Json estimate_json(const Estimate& estimate) {
  return {{"value", optional_json(estimate.value)},
          {"ci95", interval_json(estimate.ci)},
          {"range", interval_json(estimate.spread)},
          {"text", estimate_text(estimate)}};
}

Json costs_json(const CostValues& values) {
  Json json = Json::object();
  for (size_t i = 0; i < values.size(); ++i)
    json[std::string(kCostFields[i].key)] = optional_json(values[i]);
  return json;
}

Json cost_texts_json(const CostValues& values) {
  Json json = Json::object();
  for (size_t i = 0; i < values.size(); ++i)
    json[std::string(kCostFields[i].key)] = cost_text(values, kCostFields[i]);
  return json;
}

Json row_scores_json(const RowScores& s) {
  return {{"held_in", estimate_json(s.held_in)},
          {"held_out", estimate_json(s.held_out)},
          {"held_in_normalised", estimate_json(s.held_in_normalised)},
          {"held_out_normalised", estimate_json(s.held_out_normalised)},
          {"not_normalised", s.not_normalised}};
}

std::string relative_text(const std::optional<double>& times) {
  return times ? fmt::format("{:.2f} times", *times) : std::string(kNotAvailable);
}

Json plugin_use_json(const PluginUse& use) {
  return {{"kind", use.kind}, {"name", use.name}, {"plugin", use.plugin}, {"hash", use.hash}};
}

Json row_json(const LeaderboardRow& row) {
  Json json{{"label", row.label()},
            {"name", row.name},
            {"variant", row.variant},
            {"kind", run_kind_name(row.kind)},
            {"method", row.method},
            {"preset", row.preset},
            {"lone_expert", row.is_single_expert()},
            {"needs_task_name", row.needs_task_name},
            {"task_bytes", row.task_bytes ? Json(*row.task_bytes) : Json()},
            {"size", row.size ? Json(*row.size) : Json()},
            {"routing", row.routing.tasks},
            {"members", row.routing.members},
            {"sets_used", row.sets_used},
            {"sets_total", row.sets_total},
            {"runs_ok", row.runs_ok},
            {"runs_total", row.runs_total},
            {"partial", row.partial()},
            {"grid_points", row.grid_points},
            {"search", row.search.empty() ? Json() : Json(row.search)}};
  for (const auto& [metric, s] : row.scores) json["scores"][metric] = row_scores_json(s);
  for (const auto& [metric, tasks] : row.tasks) {
    Json& list = json["tasks"][metric] = Json::array();
    for (const TaskScore& t : tasks)
      list.push_back({{"set", t.set},
                      {"task", t.task},
                      {"held_in", t.held_in},
                      {"value", t.value},
                      {"normalised", optional_json(t.normalised)}});
  }
  json["costs"] = {{"statistics", costs_json(row.costs.statistics)},
                   {"calibration", costs_json(row.costs.calibration)},
                   {"merge", costs_json(row.costs.merge)},
                   {"tuning", row.costs.tuned ? costs_json(row.costs.tuning) : Json()},
                   {"total", costs_json(row.costs.total)},
                   {"evaluation", costs_json(row.costs.evaluation)},
                   {"relative", {{"flops", optional_json(row.costs.relative_flops)}}}};
  json["plugins"] = Json::array();
  for (const PluginUse& use : row.plugins) json["plugins"].push_back(plugin_use_json(use));
  json["shipped_bytes"] = optional_json(row.costs.shipped_bytes);
  json["calibrations"] = row.calibrations;
  json["transductive"] = row.is_transductive();
  json["cost_texts"] = {{"merge", cost_texts_json(row.costs.merge)},
                        {"total", cost_texts_json(row.costs.total)},
                        {"evaluation", cost_texts_json(row.costs.evaluation)},
                        {"relative", {{"flops", relative_text(row.costs.relative_flops)}}}};
  json["comparisons"] = Json::array();
  for (const Comparison& c : row.comparisons)
    json["comparisons"].push_back({{"against", c.against},
                                   {"held_in", estimate_json(c.held_in)},
                                   {"held_out", estimate_json(c.held_out)}});
  json["configurations"] = Json::array();
  for (const Configuration& c : row.configurations)
    json["configurations"].push_back(
        {{"sets", c.sets}, {"parameters", c.parameters}, {"on_edge", c.on_edge}});
  for (const auto& [metric, of_metric] : row.by_set)
    for (const auto& [set, scores] : of_metric)
      json["by_set"][metric][set] = row_scores_json(scores);
  return json;
}

struct CostAxis {
  const char *key, *phase, *field, *title;
  CostValues RowCosts::*values;  ///< null: relative_flops

  std::optional<double> of(const RowCosts& costs) const {
    return values ? cost_value(costs.*values, field) : costs.relative_flops;
  }
};

constexpr CostAxis kCostAxes[] = {
    {"total_wall", "total", "wall_s", "Wall time of merging and tuning (s)", &RowCosts::total},
    {"merge_wall", "merge", "wall_s", "Wall time of one merge (s)", &RowCosts::merge},
    {"total_flops", "total", "flops", "FLOPs of merging and tuning", &RowCosts::total},
    {"merge_flops", "merge", "flops", "FLOPs of one merge", &RowCosts::merge},
    {"merge_own_memory", "merge", "own_peak_rss_bytes", "Own peak memory of the merge (bytes)",
     &RowCosts::merge},
    {"merge_memory", "merge", "peak_rss_bytes", "Peak memory of the process in the merge (bytes)",
     &RowCosts::merge},
    {"evaluation_wall", "evaluation", "wall_s", "Wall time of evaluation (s)",
     &RowCosts::evaluation},
    {"evaluation_flops", "evaluation", "flops", "FLOPs of evaluation", &RowCosts::evaluation},
    {"relative_flops", "relative", "flops", "FLOPs of evaluation, of those of one model", nullptr},
};

// The Pareto front (non-dominated rows) per cost axis and quality, among rows that have both
// values and do not need the task's name.
Json pareto_json(const Leaderboard& board, const std::string& metric) {
  Json fronts = Json::array();
  for (const CostAxis& axis : kCostAxes) {
    Json front{
        {"axis", axis.key}, {"phase", axis.phase}, {"field", axis.field}, {"title", axis.title}};
    for (const bool held_in : {true, false}) {
      std::vector<OperatingPoint> points;
      std::vector<std::string> labels;
      for (const LeaderboardRow& row : board.rows) {
        const RowScores& s = row.scores.at(metric);
        const auto quality = held_in ? s.held_in.value : s.held_out.value;
        const auto cost = axis.of(row.costs);
        if (!quality || !cost || row.is_single_expert() || row.needs_task_name) continue;
        points.push_back({merit(metric, *quality), *cost});
        labels.push_back(row.label());
      }
      Json& list = front[held_in ? "held_in" : "held_out"] = Json::array();
      for (const size_t i : pareto_front(points)) list.push_back(labels[i]);
    }
    fronts.push_back(std::move(front));
  }
  return fronts;
}

Json provenance_json(const SweepResults& results) {
  Json json{{"checkpoints", Json::array()},  {"tasks", Json::array()}, {"methods", Json::array()},
            {"environments", Json::array()}, {"found", Json::array()}, {"sets", Json::array()},
            {"statistics", Json::array()}};
  for (const StatisticRecord& s : results.statistics)
    json["statistics"].push_back({{"key", s.key},
                                  {"name", s.name},
                                  {"version", s.version},
                                  {"parameters", s.parameters},
                                  {"checkpoint", s.checkpoint},
                                  {"data", s.data},
                                  {"bytes", s.bytes},
                                  {"cost", s.cost}});
  for (const CheckpointRecord& c : results.checkpoints)
    json["checkpoints"].push_back({{"name", c.name},
                                   {"hash", c.hash},
                                   {"path", c.path},
                                   {"role", c.role},
                                   {"origin", c.origin}});
  for (const TaskRecord& t : results.tasks)
    json["tasks"].push_back({{"name", t.name},
                             {"hash", t.hash},
                             {"definition", t.definition},
                             {"validation_items", t.validation_items},
                             {"test_items", t.test_items}});
  for (const MethodRecord& m : results.methods)
    json["methods"].push_back({{"name", m.name},
                               {"version", m.version},
                               {"paper", m.paper},
                               {"summary", m.summary},
                               {"needs", m.needs},
                               {"parameters", m.parameters}});
  for (const Environment& e : results.environments)
    json["environments"].push_back({{"git_revision", e.git_revision},
                                    {"compiler", e.compiler},
                                    {"libtorch", e.libtorch},
                                    {"device", e.device},
                                    {"cpu", e.cpu},
                                    {"host_os", e.host_os},
                                    {"command_line", e.command_line},
                                    {"threads", e.threads}});
  for (const FoundName& found : results.sweep.found)
    json["found"].push_back({{"what", found.what}, {"name", found.name}, {"path", found.path}});
  for (const ExpertSetRecord& set : results.sweep.sets) {
    Json tasks = Json::array();
    for (const SetTask& t : set.tasks)
      tasks.push_back({{"task", t.task},
                       {"held_in", t.held_in},
                       {"own_expert", t.held_in ? Json(t.own_expert) : Json()}});
    json["sets"].push_back({{"name", set.name}, {"experts", set.experts}, {"tasks", tasks}});
  }
  return json;
}

}  // namespace

Json report_json(const SweepResults& results, const Leaderboard& board) {
  Json json{{"format", "assay-report"},
            {"version", 1},
            {"sweep",
             {{"name", results.sweep.name},
              {"hash", results.sweep.hash},
              {"config", results.sweep.config},
              {"started_at", results.started_at},
              {"finished_at", results.finished_at.empty() ? Json() : Json(results.finished_at)}}},
            {"summary", summary(results, board)},
            {"metrics", board.metrics},
            {"units", Json::object()},
            {"rows", Json::array()},
            {"failures", Json::array()},
            {"provenance", provenance_json(results)}};
  for (const LeaderboardRow& row : board.rows) json["rows"].push_back(row_json(row));
  for (const std::string& metric : board.metrics)
    json["units"][metric] = {{"fraction", is_fraction(metric)},
                             {"lower_is_better", lower_is_better(metric)}};
  for (const std::string& metric : board.metrics)
    json["pareto"][metric] = pareto_json(board, metric);
  if (board.has_mixed_kinds()) json["primary_metrics"] = board.task_metrics;
  json["searches"] = searches_json(results);
  json["scaling"] = scaling_json(board);
  for (const auto& placed : results.runs)
    if (placed.run.status != RunStatus::kOk)
      json["failures"].push_back({{"set", placed.placement.set},
                                  {"row", placed.placement.row},
                                  {"variant", placed.placement.variant},
                                  {"status", run_status_name(placed.run.status)},
                                  {"reason", placed.run.reason},
                                  {"parameters", placed.run.parameters},
                                  {"seed", placed.run.seed},
                                  {"key", placed.run.key}});
  return json;
}

}  // namespace assay
