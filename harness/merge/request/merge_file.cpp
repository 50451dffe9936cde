#include "harness/merge/request/merge_file.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/regular_file.h"
#include "harness/core/text_encoding.h"
#include "harness/merge/expert_lists.h"
#include "harness/merge/request/requests.h"

namespace assay {
namespace {

void read_evidence(JsonReader& root, const MethodConfiguration& method, MergeRequest& request) {
  const Needs needs = method.needs();
  request.statistics = method.statistics();
  request.needs_data = needs.calibration_inputs || needs.calibration_labels || needs.gradients;
  request.needs_architecture = needs.architecture;
  for (const auto& [key, kept] : {std::pair("calibration", &request.calibration),
                                  std::pair("statistics", &request.statistics_files)})
    if (const auto given = root.find(key)) {
      if (!given->is_object()) given->fail("expected an object");
      if (!request.needs_data)
        given->fail(fmt::format("the method '{}' looks at no data", request.title));
      *kept = given->json();
    }
  if (request.statistics_files.is_null()) return;
  std::vector<std::string> names;
  for (const StatisticRef& statistic : request.statistics) names.push_back(statistic.name);
  for (const auto& [name, unused] : request.statistics_files.items())
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw UserError(unknown_name(fmt::format("statistic of {}", request.title), name,
                                   root.where() + ".statistics", names));
}

// Those of the groups: values in tables that no tensor has need none.
std::vector<StatisticRef> statistics_read(const std::vector<MethodGroup>& groups) {
  std::vector<StatisticRef> all;
  for (const MethodGroup& group : groups)
    for (StatisticRef& one : group.method->statistics())
      if (std::none_of(all.begin(), all.end(), [&](const StatisticRef& known) {
            return known.name == one.name && known.parameters == one.parameters;
          }))
        all.push_back(std::move(one));
  return all;
}

// Files of all statistics that a method reads stand in for data, labels and gradients.
Offered offered(const MergeRequest& request, bool base, const std::vector<std::string>& experts) {
  const auto in_files = [&](const StatisticRef& statistic) {
    return request.statistics_files.contains(statistic.name);
  };
  const bool evidence =
      !request.calibration.is_null() ||
      (!request.statistics.empty() &&
       std::all_of(request.statistics.begin(), request.statistics.end(), in_files));
  return {.base = base,
          .experts = experts.size(),
          .calibration_inputs = evidence,
          .calibration_labels = evidence,
          .gradients = evidence,
          .architecture = true};  // seen when the models are open
}

Offered with_data(Offered offered) {
  offered.calibration_inputs = offered.calibration_labels = offered.gradients = true;
  return offered;
}

// Where what is missing could come from; empty where it is no data.
std::string evidence_hint(const MergeRequest& request) {
  if (!request.needs_data || !request.calibration.is_null()) return "";
  std::string hint =
      ": give \"calibration\": {\"split\": \"validation\", \"examples\": 256}, with \"tasks\" for "
      "experts that do not say what they were trained on";
  for (const StatisticRef& statistic : request.statistics)
    hint += fmt::format(
        ", or \"statistics\": {{\"{}\": [a file per expert]}} "
        "(assay statistics compute {})",
        statistic.name, statistic.name);
  return hint;
}

/// The place of an expert that is named as in the list of experts, or by its index from 0.
size_t expert_index(const std::string& name, const std::vector<std::string>& experts,
                    const std::string& where) {
  for (size_t i = 0; i < experts.size(); ++i)
    if (name == experts[i] || name == fmt::format("{}", i)) return i;
  throw UserError(unknown_name("expert", name, where, experts));
}

/// The expert whose task model is to be made; absent: the part that all share is.
/// `given`: as it stands in the file.
std::optional<size_t> task_expert(const MethodInfo& method, const std::optional<JsonReader>& given,
                                  const MergeChoices& choices,
                                  const std::vector<std::string>& experts) {
  if (!given && !choices.task_expert) return std::nullopt;
  const std::string where = choices.task_expert ? "--task-expert" : given->where();
  if (method.needs.output != Output::kModelPerTask)
    user_error("{}: {} makes one model for all tasks, none for an expert's alone", where,
               method.name);
  if (choices.task_expert) return expert_index(*choices.task_expert, experts, where);
  return expert_index(
      given->json().is_string() ? given->as_string() : fmt::format("{}", given->as_integer()),
      experts, where);
}

MergeRequest json_request(const fs::path& path, const std::string& text,
                          const MergeChoices& choices) {
  const Json json = parse_json(text, path.string());
  JsonReader root(json, path.filename().string());
  MergeRequest request;
  request.title = root.string("method");
  const auto parameters = root.find("parameters");
  const Json none = Json::object();
  const auto method = MethodConfiguration::read(
      request.title, parameters ? *parameters : JsonReader(none, root.where() + ".parameters"));
  const auto slices = root.find("slices");
  const std::vector<std::string> experts =
      slices ? std::vector<std::string>() : root.at("experts").as_strings();
  const std::string base = root.string("base", "");
  const auto seed = root.find("seed");
  if (seed && seed->as_integer() < 0) seed->fail("a seed must not be negative");
  request.inputs.seed = choices.seed.value_or(seed ? static_cast<uint64_t>(seed->as_integer()) : 0);
  if (const auto dtype = root.find("dtype")) {
    request.inputs.dtype = dtype_from_name(dtype->as_string(), dtype->where());
    if (!c10::isFloatingType(*request.inputs.dtype)) dtype->fail("expected a floating dtype");
  }
  request.inputs.task_expert =
      task_expert(method.info(), root.find("task_expert"), choices, experts);
  ReconcileOptions options;
  if (const auto name = root.find("vocab_policy"))
    options.vocabulary = vocab_policy_from_name(name->as_string(), name->where());
  if (const auto name = root.find("extra_tensors"))
    options.extra = extra_tensors_from_name(name->as_string(), name->where());
  options.vocabulary = choices.vocab_policy.value_or(options.vocabulary);
  options.extra = choices.extra_tensors.value_or(options.extra);
  read_evidence(root, method, request);
  root.finish();
  request.configuration = {{"method", request.title},
                           {"version", method.info().version},
                           {"parameters", method.parameters()},
                           {"seed", request.inputs.seed},
                           {"dtype", request.inputs.dtype ? dtype_name(*request.inputs.dtype)
                                                          : std::string("as the inputs")},
                           {"vocab_policy", vocab_policy_name(options.vocabulary)},
                           {"extra_tensors", extra_tensors_name(options.extra)}};
  if (!request.calibration.is_null()) request.configuration["calibration"] = request.calibration;
  if (slices) {
    request.configuration["slices"] = slices->json();
    set_slices(request, method, *slices, parameters ? parameters->json() : none, base,
               path.parent_path(), options);
    return request;
  }
  const Offered given = offered(request, !base.empty(), experts);
  if (const auto reason = unmet_need(method.needs(), given))
    user_error("{}: {}{}", root.where(), *reason,
               unmet_need(method.needs(), with_data(given)) ? "" : evidence_hint(request));
  if (const auto unfit = unfit_lists(method.parameters(), experts.size()))
    user_error("{}: {}", root.where(), *unfit);

  std::optional<ModelPath> base_path;
  if (!base.empty()) base_path = find_model(base, path.parent_path());
  std::vector<ModelPath> paths;
  if (base_path) paths.push_back(*base_path);
  for (const std::string& expert : experts)
    paths.push_back(find_model(expert, path.parent_path(), base_path ? &*base_path : nullptr));
  std::vector<std::shared_ptr<const Checkpoint>> opened = open_models(paths);
  const std::shared_ptr<const Checkpoint> like = opened.front();
  if (!base.empty()) opened.erase(opened.begin());
  for (size_t i = 0; i < experts.size(); ++i) request.experts.emplace_back(experts[i], opened[i]);
  std::vector<std::shared_ptr<const Checkpoint>> all = opened;
  if (!base.empty()) all.push_back(like);
  check_origins(request, method.needs(), all);
  set_models(request, base.empty() ? nullptr : like, opened, like, options,
             method.needs().same_shapes);
  if (request.inputs.task_expert)
    request.configuration["task_expert"] = experts[*request.inputs.task_expert];
  else if (method.info().needs.output == Output::kModelPerTask)
    request.notes.push_back(fmt::format(
        "{} makes a model per task: this is the part that all share, which --task-expert EXPERT "
        "turns into the model for the tasks of an expert",
        request.title));
  note_paths(request, paths);
  if (!request.problems.empty()) return request;
  std::optional<BlockOfTensor> blocks;
  if (choices.blocks && (method.has_tables() || request.needs_architecture))
    blocks = choices.blocks(*like);
  if (request.needs_architecture && !blocks)
    user_error("{}: {}", root.where(), *unmet_need({.architecture = true}, {.experts = 1}));
  request.inputs.blocks = blocks.value_or(BlockOfTensor());
  std::unique_ptr<const Evidence> structure;
  if (choices.structure && request.needs_architecture)
    structure = choices.structure(request.inputs);
  set_method(request, method, structure.get());
  request.statistics = statistics_read(request.groups);
  return request;
}

bool is_yaml(const fs::path& path, const std::string& text) {
  if (path.extension() == ".yaml" || path.extension() == ".yml") return true;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return path.extension() != ".json" && first != std::string::npos && text[first] != '{';
}

}  // namespace

std::vector<MergeSection> MergeRequest::sections() const {
  return merge_sections(groups, inputs, plan ? &*plan : nullptr);
}

MergeRequest MergeRequest::read(const std::filesystem::path& path, const MergeChoices& choices) {
  const std::string text(without_byte_order_mark(read_configuration(path)));
  try {
    if (!is_yaml(path, text)) return json_request(path, text, choices);
    if (choices.task_expert)
      user_error("--task-expert: the methods of mergekit's YAML make one model for all tasks");
    return mergekit_request(path, text, choices);
  } catch (const SkipCell& reason) {  // of a method, which knows no file
    throw SkipCell(fmt::format("{}: {}", path.filename().string(), reason.what()));
  }
}

}  // namespace assay
