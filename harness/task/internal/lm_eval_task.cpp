#include "harness/task/internal/lm_eval_task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "harness/core/error.h"
#include "harness/task/internal/yaml_values.h"

namespace assay {
namespace {

// Keys that say nothing about prompts and scores.
constexpr std::array kIgnored{"task_alias",
                              "group",
                              "group_alias",
                              "metadata",
                              "should_decontaminate",
                              "doc_to_decontamination_query",
                              "tag",
                              "dataset_kwargs"};
constexpr std::array kRead{
    "task",        "dataset_path",      "dataset_name",      "training_split",
    "test_split",  "validation_split",  "fewshot_split",     "output_type",
    "doc_to_text", "doc_to_target",     "doc_to_choice",     "description",
    "num_fewshot", "fewshot_config",    "fewshot_delimiter", "target_delimiter",
    "metric_list", "generation_kwargs", "filter_list",       "repeats",
    "unsafe_code"};

// By the names of lm-evaluation-harness.
const std::map<std::string, std::string> kKinds{{"multiple_choice", "multiple_choice"},
                                                {"loglikelihood", "log_likelihood"},
                                                {"loglikelihood_rolling", "perplexity"},
                                                {"generate_until", "generation"}};
bool is_identifier(const std::string& text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

class Converter {
 public:
  explicit Converter(const LmEvalConfig& config) : config_(config) {}

  LmEvalTask run() {
    check_keys();
    task_.definition["name"] = text("task");
    const std::string type = config_.find("output_type") ? text("output_type") : "generate_until";
    const auto kind = kKinds.find(type);
    if (kind == kKinds.end())
      config_.fail("output_type", fmt::format("'{}' is not known; these are: {}", type,
                                              fmt::join(keys_of(kKinds), ", ")));
    task_.kind = kind->second;
    if (const YamlNode* tag = config_.find("tag"))
      task_.definition["family"] =
          tag->is_list() && !tag->items.empty() ? tag->items[0].text : tag->text;
    dataset();
    if (task_.kind == "perplexity") {
      task_.definition["text"] = template_of("doc_to_target");
      if (!config_.find("doc_to_target")) task_.definition["text"] = template_of("doc_to_text");
      task_.definition["repeat_bos"] = true;
    } else {
      prompts();
      few_shot();
    }
    if (task_.kind == "generation") generation();
    import_lm_eval_metrics(config_, task_);
    return std::move(task_);
  }

 private:
  static std::vector<std::string> keys_of(const std::map<std::string, std::string>& map) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : map) keys.push_back(key);
    return keys;
  }

  void check_keys() const {
    for (const auto& [key, entry] : config_.entries()) {
      const YamlNode& value = entry.value;
      if (!value.tag.empty())
        config_.fail(
            key, fmt::format("{} {} is Python, which cannot be imported", value.tag, value.text));
      const bool ignored = std::find(kIgnored.begin(), kIgnored.end(), key) != kIgnored.end();
      const bool read = std::find(kRead.begin(), kRead.end(), key) != kRead.end();
      if (value.is_null() || ignored || read) continue;
      config_.fail(key, "this key cannot be imported");
    }
    if (const YamlNode* repeats = config_.find("repeats"); repeats && repeats->text != "1")
      config_.fail("repeats", "greedy answers are not repeated");
  }

  std::string text(const std::string& key) const {
    if (!config_.at(key).is_scalar())
      config_.fail(key, "expected a text, found " + yaml_found(config_.at(key)));
    return config_.at(key).text;
  }
  std::string text(const std::string& key, const std::string& fallback) const {
    return config_.find(key) ? text(key) : fallback;
  }

  /// A field's name stands for the field.
  std::string template_of(const std::string& key) const {
    std::string source = text(key, "");
    return is_identifier(source) ? "{{" + source + "}}" : source;
  }

  void dataset() {
    const std::string path = text("dataset_path", "");
    const std::string name = text("dataset_name", "default");
    Json files = Json::object();
    const YamlNode* local = nullptr;
    if (const YamlNode* options = config_.find("dataset_kwargs"))
      local = options->find("data_files");
    // Of a hub's data set they say how it is fetched, of files how they are read.
    for (const YamlEntry& entry :
         local ? config_.at("dataset_kwargs").entries : std::vector<YamlEntry>())
      if (entry.key != "data_files" && entry.key != "trust_remote_code")
        config_.fail("dataset_kwargs",
                     fmt::format("line {}: '{}' cannot be imported next to data_files", entry.line,
                                 entry.key));
    const auto file_of = [&](const std::string& split) -> std::string {
      if (!local) return fmt::format("huggingface/{}/{}/{}.jsonl", path, name, split);
      const YamlNode* file = local->is_scalar() ? local : local->find(split);
      if (!file || !file->is_scalar())
        config_.fail("dataset_kwargs", fmt::format("data_files has no file for '{}'", split));
      return file->text;
    };
    const std::string test = text("test_split", ""), validation = text("validation_split", "");
    const std::string scored = test.empty() ? validation : test;
    if (scored.empty())
      config_.fail("test_split", "the task has neither a test_split nor a validation_split");
    files["test"] = file_of(scored);
    splits_[scored] = "test";
    if (!validation.empty() && validation != scored) {
      files["validation"] = file_of(validation);
      splits_[validation] = "validation";
    }
    if (const std::string train = text("training_split", ""); !train.empty()) {
      files["train"] = file_of(train);
      splits_.emplace(train, "train");
    }
    if (const std::string examples = text("fewshot_split", few_shot_split());
        !examples.empty() && !splits_.contains(examples)) {
      const char* free = !files.contains("train")        ? "train"
                         : !files.contains("validation") ? "validation"
                                                         : nullptr;
      if (!free) config_.fail("fewshot_split", "the task has more than three splits");
      files[free] = file_of(examples);
      splits_[examples] = free;
    }
    task_.definition["dataset"] = {
        {"origin",
         local ? config_.where() : fmt::format("huggingface.co/datasets/{} ({})", path, name)},
        {"files", files}};
  }

  std::string few_shot_split() const {
    const YamlNode* config = config_.find("fewshot_config");
    const YamlNode* split = config ? config->find("split") : nullptr;
    return split ? split->text : "";
  }

  void prompts() {
    if (yaml_integer(config_.at("doc_to_text")))
      config_.fail("doc_to_text", "a number chooses among several inputs, which is not supported");
    task_.definition["prompt"] = template_of("doc_to_text");
    const std::string description = text("description", "");
    if (description.find("{{") != std::string::npos || description.find("{%") != std::string::npos)
      config_.fail("description", "a template is not supported here");
    if (!description.empty()) task_.definition["description"] = description;
    task_.definition["delimiter"] =
        task_.kind == "log_likelihood" ? "" : text("target_delimiter", " ");
    if (task_.kind != "multiple_choice") {
      if (config_.find("doc_to_choice"))
        config_.fail("doc_to_choice", "only multiple_choice has choices here");
      task_.definition["target"] = template_of("doc_to_target");
      return;
    }
    const YamlNode& choices = config_.at("doc_to_choice");
    if (choices.is_list() || choices.is_map()) {
      Json list = Json::array();
      for (const YamlNode& choice : choices.items) list.push_back(choice.text);
      for (const YamlEntry& choice : choices.entries) list.push_back(choice.value.text);
      task_.definition["choices"] = list;
    } else {
      task_.definition["choices"] = template_of("doc_to_choice");
    }
    if (const auto constant = yaml_integer(config_.at("doc_to_target"))) {
      task_.definition["label"] = *constant;
      return;
    }
    task_.definition["label"] = text("doc_to_target");
    task_.definition["label_list"] = "indices";
  }

  void few_shot() {
    const YamlNode* number = config_.find("num_fewshot");
    const int64_t count = number ? yaml_integer(*number).value_or(-1) : 0;
    if (count < 0) config_.fail("num_fewshot", "expected a number");
    const YamlNode* options = config_.find("fewshot_config");
    Json few_shot{{"count", count}};
    std::string sampler = "default";
    if (options) {
      if (!options->is_map()) config_.fail("fewshot_config", "expected a map");
      for (const YamlEntry& entry : options->entries) {
        if (!entry.value.tag.empty())
          config_.fail("fewshot_config", fmt::format("'{}' is Python: {} {}", entry.key,
                                                     entry.value.tag, entry.value.text));
        if (entry.key == "sampler")
          sampler = entry.value.text;
        else if (entry.key == "samples")
          few_shot["items"] = yaml_json(entry.value);
        else if (entry.key != "split")
          config_.fail("fewshot_config", fmt::format("'{}' cannot be imported", entry.key));
      }
    }
    if (count == 0) return;
    if (!few_shot.contains("items")) {
      const std::string split =
          few_shot_split().empty()
              ? text("fewshot_split",
                     text("training_split", text("validation_split", text("test_split", ""))))
              : few_shot_split();
      few_shot["split"] = splits_.at(split);
    }
    if (sampler != "first_n")
      task_.notes.push_back(
          "few-shot examples are the first ones; lm-evaluation-harness draws them at random");
    few_shot["separator"] = text("fewshot_delimiter", "\n\n");
    if (task_.kind == "log_likelihood" && !text("target_delimiter", " ").empty())
      config_.fail("num_fewshot",
                   "examples of loglikelihood have a delimiter that scored targets do not have");
    task_.definition["few_shot"] = few_shot;
  }

  void generation() {
    Json stop = Json::array();
    bool has_until = false;  // an empty list stops at EOS alone
    if (const YamlNode* options = config_.find("generation_kwargs"))
      for (const YamlEntry& entry : options->entries) {
        if (entry.key == "until") {
          has_until = !entry.value.is_null();
          if (entry.value.is_scalar()) stop.push_back(entry.value.text);
          for (const YamlNode& text : entry.value.items) stop.push_back(text.text);
        } else if (entry.key == "max_gen_toks" || entry.key == "max_new_tokens") {
          task_.definition["max_tokens"] = yaml_json(entry.value);
        } else if (entry.key == "do_sample" && yaml_is_true(entry.value)) {
          config_.fail("generation_kwargs", fmt::format("line {}: answers are greedy", entry.line));
        } else if (entry.key != "do_sample" && entry.key != "temperature") {
          config_.fail("generation_kwargs",
                       fmt::format("line {}: '{}' cannot be imported", entry.line, entry.key));
        }
      }
    if (!has_until) stop.push_back(text("fewshot_delimiter", "\n\n"));
    task_.definition["stop"] = stop;
  }

  const LmEvalConfig& config_;
  LmEvalTask task_;
  std::map<std::string, std::string> splits_;  // Assay's, by lm-evaluation-harness' names
};

}  // namespace

LmEvalTask convert_lm_eval(const LmEvalConfig& config) { return Converter(config).run(); }

}  // namespace assay
