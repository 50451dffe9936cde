#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "harness/task/internal/lm_eval_task.h"
#include "harness/task/internal/yaml_values.h"

namespace assay {
namespace {

/// A metric of lm-evaluation-harness and how it combines items unless a task says otherwise.
struct KnownMetric {
  const char* metric;  ///< Assay's name
  const char* aggregation = "mean";
};

const std::map<std::string, KnownMetric> kMetrics{
    {"acc", {"acc"}},
    {"acc_norm", {"acc_norm"}},
    {"acc_bytes", {"acc_bytes"}},
    {"acc_mutual_info", {"acc_mutual_info"}},
    {"brier_score", {"brier", "brier_score"}},
    {"exact_match", {"exact_match"}},
    {"perplexity", {"perplexity", "perplexity"}},
    {"word_perplexity", {"word_perplexity", "weighted_perplexity"}},
    {"byte_perplexity", {"byte_perplexity", "weighted_perplexity"}},
    {"bits_per_byte", {"bits_per_byte", "bits_per_byte"}}};

// What GSM8K leaves out of numbers and solutions before it compares them, as number_match() does.
const std::vector<std::string> kNumberRegexes{",", "\\$", "(?s).*#### ", "\\.$"};

class MetricImport {
 public:
  MetricImport(const LmEvalConfig& config, LmEvalTask& task) : config_(config), task_(task) {}

  void run() {
    metrics();
    if (task_.kind == "generation")
      filters();
    else if (compares_numbers_ || config_.find("filter_list"))
      config_.fail(compares_numbers_ ? "metric_list" : "filter_list",
                   "only answers of generate_until are filtered");
  }

 private:
  void metrics() {
    const YamlNode* list = config_.find("metric_list");
    if (!list) return;
    Json metrics = Json::array();
    for (const YamlNode& entry : list->items) {
      const YamlNode* name = entry.find("metric");
      if (!name || !name->is_scalar()) config_.fail("metric_list", "expected metrics by name");
      const auto known = kMetrics.find(name->text);
      if (!name->tag.empty() || known == kMetrics.end()) {
        std::vector<std::string> names;
        for (const auto& [metric, unused] : kMetrics) names.push_back(metric);
        config_.fail("metric_list",
                     fmt::format("line {}: the metric '{}' cannot be imported; these can: {}",
                                 name->line, name->text, fmt::join(names, ", ")));
      }
      metrics.push_back(known->second.metric);
      for (const YamlEntry& option : entry.entries) metric_option(known->second, option);
    }
    task_.definition["metrics"] = metrics;
  }

  void metric_option(const KnownMetric& metric, const YamlEntry& option) {
    const auto fail = [&](const std::string& what) {
      config_.fail("metric_list", fmt::format("line {}: {}", option.line, what));
    };
    if (option.key == "ignore_case" || option.key == "ignore_punctuation") {
      if (yaml_is_true(option.value)) task_.definition[option.key] = true;
    } else if (option.key == "regexes_to_ignore") {
      std::vector<std::string> regexes;
      for (const YamlNode& regex : option.value.items) regexes.push_back(regex.text);
      if (regexes != kNumberRegexes) fail("of 'regexes_to_ignore' only GSM8K's can be imported");
      compares_numbers_ = true;
    } else if (option.key == "aggregation") {
      const bool is_mean = option.value.text == "mean" || option.value.text == "nanmean";
      const std::string given = is_mean ? "mean" : option.value.text;
      if (given != metric.aggregation || !option.value.tag.empty())
        fail(fmt::format("the aggregation of '{}' is '{}' here; '{}{}' cannot be imported",
                         metric.metric, metric.aggregation,
                         option.value.tag.empty() ? "" : option.value.tag + " ",
                         option.value.text));
    } else if (option.key != "metric" && option.key != "weight_by_size" &&
               option.key != "higher_is_better") {
      fail(fmt::format("the option '{}' cannot be imported", option.key));
    }
  }

  /// Filters that take a number out of an answer are metrics of Assay. Unless a filter strips them,
  /// answers are compared with their white space.
  void filters() {
    Json metrics = Json::array();
    const YamlNode* list = config_.find("filter_list");
    bool strips = false;
    for (const YamlNode& filter : list ? list->items : std::vector<YamlNode>()) {
      const std::string metric = filtered_metric(filter, strips);
      if (std::find(metrics.begin(), metrics.end(), metric) != metrics.end())
        fail_filter(filter, fmt::format("an answer can be compared by '{}' once", metric));
      metrics.push_back(metric);
      const bool is_number = metric != "exact_match";
      if (is_number != compares_numbers_ ||
          (is_number && task_.definition.contains("ignore_punctuation")))
        fail_filter(filter,
                    "GSM8K's patterns and its 'regexes_to_ignore' can be imported only together, "
                    "without 'ignore_punctuation'");
    }
    if (compares_numbers_ && metrics.empty())
      config_.fail("metric_list", "'regexes_to_ignore' can be imported only with GSM8K's filters");
    if (!compares_numbers_ && !strips) task_.definition["strip"] = false;
    if (!metrics.empty()) task_.definition["metrics"] = metrics;
  }

  /// The metric that compares what the filter gives. Sets `strips` when white space is removed.
  std::string filtered_metric(const YamlNode& filter, bool& strips) const {
    std::string pattern, group = "0";
    const YamlNode* steps = filter.find("filter");
    for (const YamlNode& step : steps ? steps->items : std::vector<YamlNode>()) {
      const YamlNode *function = step.find("function"), *regex = step.find("regex_pattern"),
                     *select = step.find("group_select");
      if (function && function->text == "regex" && regex && pattern.empty())
        pattern = regex->text;
      else if (function && function->text == "remove_whitespace" && pattern.empty())
        strips = true;
      else if (!function || function->text != "take_first")
        pattern = "another filter";
      if (select) group = select->text;
    }
    if (pattern.empty()) return "exact_match";
    if (pattern == R"(#### (\-?[0-9\.\,]+))" && group == "0") return "strict_match";
    if (pattern == R"((-?[$0-9.,]{2,})|(-?[0-9]+))" && group == "-1") return "flexible_match";
    fail_filter(filter,
                "this filter cannot be imported; take_first, remove_whitespace and GSM8K's "
                "patterns can");
  }

  [[noreturn]] void fail_filter(const YamlNode& filter, const std::string& what) const {
    config_.fail("filter_list", fmt::format("line {}: {}", filter.line, what));
  }

  const LmEvalConfig& config_;
  LmEvalTask& task_;
  bool compares_numbers_ = false;  // GSM8K's regexes_to_ignore were given
};

}  // namespace

void import_lm_eval_metrics(const LmEvalConfig& config, LmEvalTask& task) {
  MetricImport(config, task).run();
}

}  // namespace assay
