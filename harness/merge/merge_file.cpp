#include "harness/merge/merge_file.h"

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {

MergeRequest MergeRequest::read(const std::filesystem::path& path) {
  const Json json = read_json(path);
  JsonReader root(json, path.filename().string());
  MergeRequest request;
  request.title = root.string("method");
  const auto parameters = root.find("parameters");
  const Json none = Json::object();
  auto method = make_method(
      request.title, parameters ? *parameters : JsonReader(none, root.where() + ".parameters"));
  const std::vector<std::string> experts = root.at("experts").as_strings();
  const std::string base = root.string("base", "");
  const auto seed = root.find("seed");
  if (seed && seed->as_integer() < 0) seed->fail("a seed must not be negative");
  request.inputs.seed = seed ? static_cast<uint64_t>(seed->as_integer()) : 0;
  if (const auto dtype = root.find("dtype"))
    request.inputs.dtype = dtype_from_name(dtype->as_string(), dtype->where());
  root.finish();
  if (const auto reason = unmet_need(method->info(), !base.empty(), experts.size()))
    user_error("{}: {}", root.where(), *reason);

  const auto open = [&](const std::string& name) {
    return Checkpoint::open(fs::absolute(find_file(name, path.parent_path())).lexically_normal());
  };
  if (!base.empty()) request.inputs.base = request.like = open(base);
  for (const std::string& expert : experts) {
    const auto checkpoint = open(expert);
    if (!request.like) request.like = checkpoint;
    request.inputs.experts.push_back(checkpoint);
  }
  request.config = request.like->config();
  request.configuration = {{"method", request.title},
                           {"version", method->info().version},
                           {"parameters", method->parameters()},
                           {"seed", request.inputs.seed},
                           {"dtype", request.inputs.dtype ? dtype_name(*request.inputs.dtype)
                                                          : std::string("as the inputs")}};
  std::vector<std::string> names = merged_names(request.inputs);
  request.groups.push_back({std::move(method), std::move(names)});
  return request;
}

}  // namespace assay
