#include "harness/merge/mergekit/moe.h"

#include <algorithm>
#include <cmath>

#include "harness/core/ascii.h"
#include "harness/core/error.h"
#include "harness/core/yaml.h"
#include "harness/merge/mergekit/parameters.h"
#include "harness/merge/mergekit/yaml_messages.h"

namespace assay {
namespace {

const std::vector<std::string> kGateModes{"hidden",      "hidden_last", "hidden_avg",
                                          "cheap_embed", "random",      "uniform_random"};

class MoeReader : YamlMessages {
 public:
  explicit MoeReader(const std::string& where) : YamlMessages(where) {}

  MergekitMoe read(const YamlNode& root) const {
    check_keys(root, {"base_model", "gate_mode", "experts_per_token", "dtype", "experts",
                      "shared_experts", "architecture"});
    MergekitMoe config;
    config.where = where_;
    config.base_model = read_model(root, "base_model");
    if (const YamlNode* mode = given(root, "gate_mode")) {
      config.gate_mode = text(*mode, "a gate_mode");
      if (std::find(kGateModes.begin(), kGateModes.end(), config.gate_mode) == kGateModes.end())
        unknown("gate_mode", config.gate_mode, mode->line, kGateModes);
    }
    if (const YamlNode* count = given(root, "experts_per_token"))
      config.experts_per_token = read_count(*count);
    config.dtype = read_dtype(root, "dtype");
    if (const YamlNode* name = given(root, "architecture"))
      config.architecture = text(*name, "an architecture");
    config.experts = read_experts(*root.find("experts"));
    if (const YamlNode* shared = given(root, "shared_experts"); shared && !is_empty(*shared)) {
      std::vector<MergekitExpert> experts = read_experts(*shared);
      if (experts.size() > 1)
        fail(shared->line, "more than one shared expert, which no form of mergekit-moe has");
      config.shared_expert = std::move(experts.front());
    }
    check(config, *root.find("experts"));
    return config;
  }

 private:
  static bool is_empty(const YamlNode& node) { return node.is_list() && node.items.empty(); }

  MergekitModel read_model(const YamlNode& node, const char* key) const {
    const YamlNode* name = node.find(key);
    if (!name) fail(node.line, fmt::format("the key '{}' is missing", key));
    return {text(*name, "a model"), name->line, {}, {}};
  }

  double read_number(const YamlNode& node) const {
    const auto number = yaml_number(node);
    if (!number) wanted(node, "a finite number");
    return *number;
  }
  int64_t read_count(const YamlNode& node) const {
    constexpr double kMost = 1024;
    const double number = read_number(node);
    if (number != std::floor(number) || number < 1 || number > kMost)
      wanted(node, "a number of experts from 1 to 1024");
    return static_cast<int64_t>(number);
  }

  std::vector<std::string> read_prompts(const YamlNode& expert, const char* key) const {
    std::vector<std::string> prompts;
    const YamlNode* list = given(expert, key);
    if (!list) return prompts;
    if (!list->is_list()) wanted(*list, "a list of prompts");
    for (const YamlNode& prompt : list->items) prompts.push_back(text(prompt, "a prompt"));
    return prompts;
  }

  std::vector<MergekitExpert> read_experts(const YamlNode& list) const {
    if (!list.is_list() || list.items.empty()) wanted(list, "a list of experts");
    std::vector<MergekitExpert> experts;
    for (const YamlNode& node : list.items) {
      if (!node.is_map()) wanted(node, "a map with the key 'source_model'");
      check_keys(node, {"source_model", "positive_prompts", "negative_prompts", "noise_scale",
                        "residual_scale"});
      MergekitExpert& expert = experts.emplace_back();
      expert.model = read_model(node, "source_model");
      expert.prompts = {read_prompts(node, "positive_prompts"),
                        read_prompts(node, "negative_prompts")};
      if (const YamlNode* scale = given(node, "noise_scale")) {
        expert.noise_scale = read_number(*scale);
        if (expert.noise_scale < 0) wanted(*scale, "a standard deviation of 0 or more");
      }
      if (const YamlNode* scale = given(node, "residual_scale"))
        expert.residual_scale = read_number(*scale);
    }
    return experts;
  }

  /// Refuses what mergekit-moe does.
  void check(const MergekitMoe& config, const YamlNode& node) const {
    const std::vector<MergekitExpert>& experts = config.experts;
    if (static_cast<int64_t>(experts.size()) < config.experts_per_token)
      fail(node.line,
           fmt::format("{} experts, of which a token is sent to {} ('experts_per_token')",
                       experts.size(), config.experts_per_token));
    if (config.gate_mode == "random") return;
    for (const MergekitExpert& expert : experts)
      if (expert.prompts.positive.empty())
        fail(expert.model.line,
             fmt::format("the expert '{}' has no 'positive_prompts', which the gate_mode {} needs",
                         expert.model.model, config.gate_mode));
    const auto all_as_first = [&](const auto& same) {
      return std::all_of(experts.begin() + 1, experts.end(), [&](const MergekitExpert& expert) {
        return same(expert, experts.front());
      });
    };
    if (all_as_first([](const MergekitExpert& a, const MergekitExpert& b) {
          return a.prompts == b.prompts;
        }))
      fail(node.line, "the prompts of all experts are the same, so that no gate tells them apart");
    if (all_as_first([](const MergekitExpert& a, const MergekitExpert& b) {
          return a.model.model == b.model.model;
        }))
      fail(node.line,
           "all experts are one model: the mixture is that model until it is trained. A JSON file "
           "with the method moe makes it all the same");
  }
};

/// One of mergekit-moe's forms, in its order.
struct MoeForm {
  std::string_view name;  ///< mergekit-moe's
  std::string_view form;  ///< of the method moe
  std::vector<std::string_view> types;
};
const std::vector<MoeForm>& moe_forms() {
  static const std::vector<MoeForm> all{{"Mixtral", "mixtral", {"llama", "mistral"}},
                                        {"DeepSeek MoE", "deepseek", {"llama", "mistral"}},
                                        {"Qwen MoE", "qwen2_moe", {"llama", "mistral", "qwen2"}},
                                        {"Qwen3 MoE", "qwen3_moe", {"qwen3"}}};
  return all;
}

/// Why a form does not fit; empty when it does.
std::string misfit(const MoeForm& form, const MergekitMoe& config, const std::string& type) {
  if (std::find(form.types.begin(), form.types.end(), type) == form.types.end())
    return fmt::format("is not made of models of the type '{}'", type);
  const auto& shared = config.shared_expert;
  const bool prompted =
      shared && !(shared->prompts.positive.empty() && shared->prompts.negative.empty());
  if (form.form == "qwen2_moe") {
    if (!shared) return "needs one of 'shared_experts'";
    if (config.gate_mode != "random" && shared->prompts.positive.empty())
      return "needs 'positive_prompts' of its shared expert, which has a gate";
    return "";
  }
  if (form.form == "deepseek") return prompted ? "has no gate for the shared expert's prompts" : "";
  return shared ? "has no 'shared_experts'" : "";
}

std::string form_of(const MergekitMoe& config, const std::string& type) {
  std::string reasons;
  const std::string wanted = ascii_lower(config.architecture.value_or(""));
  for (const MoeForm& form : moe_forms()) {
    if (!ascii_lower(std::string(form.name)).starts_with(wanted)) continue;
    const std::string reason = misfit(form, config, type);
    if (reason.empty()) return std::string(form.form);
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : "; ", form.name, reason);
  }
  if (reasons.empty())
    user_error(
        "{}: no 'architecture' of mergekit-moe begins with '{}': it has Mixtral, DeepSeek "
        "MoE, Qwen MoE and Qwen3 MoE",
        config.where, *config.architecture);
  user_error("{}: no form of mixtures fits: {}", config.where, reasons);
}

Json router_of(const std::string& gate_mode) {
  if (gate_mode == "random" || gate_mode == "uniform_random") return gate_mode;
  if (gate_mode == "cheap_embed") return {{"router", "cheap_embed"}, {"negatives", "given"}};
  return {{"router", "hidden_avg"},
          {"tokens", gate_mode == "hidden_avg" ? "all" : "last"},
          {"negatives", "given"}};
}

}  // namespace

bool is_mergekit_moe(std::string_view text, const std::string& where) {
  const YamlNode root = parse_yaml(text, where);
  return root.find("experts") && !root.find("merge_method");
}

MergekitMoe parse_mergekit_moe(std::string_view text, const std::string& where) {
  return MoeReader(where).read(parse_yaml(text, where));
}

Json mergekit_moe_parameters(const MergekitMoe& config, const std::string& model_type) {
  Json parameters = {{"rest", "base"},
                     {"router", router_of(config.gate_mode)},
                     {"top_k", config.experts_per_token},
                     {"form", form_of(config, model_type)}};
  std::vector<MergekitExpert> experts = config.experts;
  if (config.shared_expert) {
    parameters["shared_expert"] = "last";
    experts.push_back(*config.shared_expert);
  }
  std::vector<double> noise, residual;
  for (const MergekitExpert& expert : experts) {
    noise.push_back(expert.noise_scale);
    residual.push_back(expert.residual_scale);
  }
  const auto all = [](const std::vector<double>& values, double neutral) {
    return std::count(values.begin(), values.end(), neutral) == static_cast<int64_t>(values.size());
  };
  if (!all(noise, 0)) parameters["noise_scales"] = noise;
  if (!all(residual, 1)) parameters["residual_scales"] = residual;
  return parameters;
}

}  // namespace assay
