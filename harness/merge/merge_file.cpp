#include "harness/merge/merge_file.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/provenance.h"
#include "harness/cost/meter.h"

namespace assay {
namespace {

// What a Hugging Face-style folder may hold beside config and weights that a merge does not change.
constexpr const char* kCompanions[] = {"tokenizer.json",     "tokenizer_config.json",
                                       "tokenizer.model",    "special_tokens_map.json",
                                       "added_tokens.json",  "vocab.json",
                                       "merges.txt",         "generation_config.json",
                                       "chat_template.jinja"};

Json inputs_json(const MergeFile& file) {
  Json experts = Json::array();
  for (const auto& expert : file.experts)
    experts.push_back({{"path", expert->path().string()}, {"hash", expert->content_hash()}});
  Json json = {{"experts", experts}};
  if (file.base)
    json["base"] = {{"path", file.base->path().string()}, {"hash", file.base->content_hash()}};
  return json;
}

std::string model_card(const Json& origin) {
  const Json& merge = origin["merge"];
  std::string card =
      fmt::format("# Merged with {}\n\nMade by Assay {} on {}.\n\n| input | hash |\n|---|---|\n",
                  merge["method"].get<std::string>(), origin["git_revision"].get<std::string>(),
                  origin["made_at"].get<std::string>());
  const auto row = [&](const std::string& what, const Json& input) {
    card += fmt::format("| {} {} | `{}` |\n", what,
                        fs::path(input["path"].get<std::string>()).filename().string(),
                        input["hash"].get<std::string>());
  };
  if (merge["inputs"].contains("base")) row("base", merge["inputs"]["base"]);
  for (const Json& expert : merge["inputs"]["experts"]) row("expert", expert);
  return card + fmt::format("\nConfiguration:\n\n```json\n{}\n```\n",
                            Json{{"method", merge["method"]},
                                 {"parameters", merge["parameters"]},
                                 {"seed", merge["seed"]},
                                 {"dtype", merge["dtype"]}}
                                .dump(2));
}

}  // namespace

MergeFile MergeFile::read(const std::filesystem::path& path) {
  const Json json = read_json(path);
  JsonReader root(json, path.filename().string());
  MergeFile file;
  file.method = root.string("method");
  const auto parameters = root.find("parameters");
  const Json none = Json::object();
  file.made = make_method(
      file.method, parameters ? *parameters : JsonReader(none, root.where() + ".parameters"));
  const std::vector<std::string> experts = root.at("experts").as_strings();
  const std::string base = root.string("base", "");
  const auto seed = root.find("seed");
  if (seed && seed->as_integer() < 0) seed->fail("a seed must not be negative");
  file.seed = seed ? static_cast<uint64_t>(seed->as_integer()) : 0;
  if (const auto dtype = root.find("dtype"))
    file.dtype = dtype_from_name(dtype->as_string(), dtype->where());
  root.finish();
  if (const auto reason = unmet_need(file.made->info(), !base.empty(), experts.size()))
    user_error("{}: {}", root.where(), *reason);

  const auto open = [&](const std::string& name) {
    return Checkpoint::open(fs::absolute(find_file(name, path.parent_path())).lexically_normal());
  };
  if (!base.empty()) file.base = open(base);
  for (const std::string& expert : experts) file.experts.push_back(open(expert));
  return file;
}

FolderReport merge_to_folder(MergeFile& file, at::Device device,
                             const std::filesystem::path& folder, bool replace) {
  if (fs::exists(folder) && !replace)
    user_error("'{}' exists already; name another folder or pass --replace", folder.string());
  MergeInputs inputs;
  inputs.base = file.base;
  inputs.experts.assign(file.experts.begin(), file.experts.end());
  inputs.seed = file.seed;
  inputs.device = device;
  inputs.dtype = file.dtype;
  FolderReport report;
  const StateDict merged = merge_to_memory(*file.made, inputs, &report.merge);

  const Checkpoint& like = file.base ? *file.base : *file.experts.front();
  CheckpointExtras extras;
  extras.config = like.config();
  if (file.dtype && extras.config.is_object() && extras.config.contains("torch_dtype"))
    extras.config["torch_dtype"] = dtype_name(*file.dtype);
  extras.origin = {{"assay", 1},
                   {"role", "merge"},
                   {"made_at", utc_now()},
                   {"git_revision", git_revision()},
                   {"merge",
                    {{"method", file.method},
                     {"version", file.made->info().version},
                     {"parameters", file.made->parameters()},
                     {"seed", file.seed},
                     {"dtype", file.dtype ? Json(dtype_name(*file.dtype)) : Json("as the inputs")},
                     {"inputs", inputs_json(file)}}},
                   {"diagnostics", report.merge.diagnostics}};
  extras.card = model_card(extras.origin);
  for (const char* name : kCompanions)
    if (fs::exists(like.path() / name)) extras.copies.push_back(like.path() / name);
  Meter meter;
  write_checkpoint(folder, merged, extras, replace);
  report.write = meter.stop();
  return report;
}

}  // namespace assay
