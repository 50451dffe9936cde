#include "harness/merge/request/merge_file.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/regular_file.h"
#include "harness/core/text_encoding.h"
#include "harness/merge/expert_lists.h"
#include "harness/merge/model_checks.h"
#include "harness/merge/request/requests.h"

namespace assay {
namespace {

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
  ReconcileOptions options;
  if (const auto name = root.find("vocab_policy"))
    options.vocabulary = vocab_policy_from_name(name->as_string(), name->where());
  if (const auto name = root.find("extra_tensors"))
    options.extra = extra_tensors_from_name(name->as_string(), name->where());
  options.vocabulary = choices.vocab_policy.value_or(options.vocabulary);
  options.extra = choices.extra_tensors.value_or(options.extra);
  root.finish();
  request.configuration = {{"method", request.title},
                           {"version", method.info().version},
                           {"parameters", method.parameters()},
                           {"seed", request.inputs.seed},
                           {"dtype", request.inputs.dtype ? dtype_name(*request.inputs.dtype)
                                                          : std::string("as the inputs")},
                           {"vocab_policy", vocab_policy_name(options.vocabulary)},
                           {"extra_tensors", extra_tensors_name(options.extra)}};
  if (slices) {
    request.configuration["slices"] = slices->json();
    set_slices(request, method, *slices, parameters ? parameters->json() : none, base,
               path.parent_path(), options);
    return request;
  }
  if (const auto reason =
          unmet_need(method.needs(), {.base = !base.empty(), .experts = experts.size()}))
    user_error("{}: {}", root.where(), *reason);
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
  std::vector<std::shared_ptr<const Checkpoint>> all = opened;
  if (!base.empty()) all.push_back(like);
  if (const auto reason = unmet_tokenizer_need(method.needs(), all))
    data_error("{}: {}", request.title, *reason);
  if (const auto reason = unmet_initialization_need(method.needs(), all))
    data_error("{}: {}", request.title, *reason);
  set_models(request, base.empty() ? nullptr : like, opened, like, options);
  note_paths(request, paths);
  if (!request.problems.empty()) return request;
  if (method.has_tables() && choices.blocks) request.inputs.blocks = choices.blocks(*like);
  set_method(request, method);
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
  return is_yaml(path, text) ? mergekit_request(path, text, choices)
                             : json_request(path, text, choices);
}

}  // namespace assay
