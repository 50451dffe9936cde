#include "harness/calibration/statistic_file.h"

#include "harness/checkpoint/described_tensors.h"
#include "harness/core/error.h"
#include "harness/core/paths.h"

namespace assay {
namespace {

/// The text of the header that holds what is known about the tensors, as JSON.
constexpr const char* kKey = "assay_statistic";
/// Of the JSON's form.
constexpr int kFormat = 1;

Json layer_json(const LayerInfo& layer) {
  Json json{{"weight", layer.weight},
            {"bias", layer.bias},
            {"kind", layer.kind == LayerKind::kConvolution ? "convolution" : "linear"},
            {"in_out", layer.in_out},
            {"inputs", layer.inputs},
            {"input", layer.input}};
  if (layer.block) json["block"] = *layer.block;
  return json;
}

LayerInfo layer_from_json(const Json& json) {
  LayerInfo layer{
      .weight = json.at("weight"),
      .bias = json.at("bias"),
      .kind = json.at("kind") == "convolution" ? LayerKind::kConvolution : LayerKind::kLinear,
      .in_out = json.at("in_out"),
      .inputs = json.at("inputs"),
      .input = json.at("input")};
  if (json.contains("block")) layer.block = json.at("block").get<int64_t>();
  return layer;
}

}  // namespace

void StatisticFile::write(const std::filesystem::path& path, const StatisticJob& job,
                          int64_t examples, const StatisticTensors& result, const Cost& cost) {
  Json layers = Json::array();
  for (const LayerInfo& layer : result.layers) layers.push_back(layer_json(layer));
  const MemorySource source(path.string(), result.tensors);
  const Json json{{"format", kFormat},
                  {"job", job},
                  {"examples", examples},
                  {"layers", std::move(layers)},
                  {"rows", result.rows},
                  {"cost", cost},
                  {"content_hash", source.content_hash()}};
  write_described(path, result.tensors, {{kKey, canonical(json)}});
}

std::shared_ptr<const StatisticFile> StatisticFile::open(const std::filesystem::path& path) {
  if (!path_exists(path)) data_error("there is no statistic '{}'", path.string());
  std::shared_ptr<StatisticFile> file(new StatisticFile());
  file->path_ = path;
  file->file_ = Checkpoint::open(path);
  const Descriptions descriptions = read_descriptions(path);
  const auto text = descriptions.find(kKey);
  if (text == descriptions.end())
    data_error("{}: not a statistic: its header has no '{}'", path.string(), kKey);
  try {
    const Json json = Json::parse(text->second);
    if (json.at("format") != kFormat)
      data_error("{}: a statistic of format {}, this program reads {}", path.string(),
                 json.at("format").dump(), kFormat);
    file->job_ = json.at("job").get<StatisticJob>();
    json.at("examples").get_to(file->examples_);
    for (const Json& layer : json.at("layers")) file->layers_.push_back(layer_from_json(layer));
    json.at("rows").get_to(file->rows_);
    file->cost_ = json.at("cost").get<Cost>();
    json.at("content_hash").get_to(file->content_hash_);
  } catch (const nlohmann::json::exception& error) {
    data_error("{}: the statistic's description is broken: {}", path.string(), error.what());
  } catch (const UserError& error) {
    data_error("{}: the statistic's description is broken: {}", path.string(), error.what());
  }
  return file;
}

int64_t StatisticFile::bytes() const {
  int64_t total = 0;
  for (const TensorInfo& info : tensors()) total += info.bytes();
  return total;
}

void StatisticFile::verify() const {
  if (assay::content_hash(*file_) != content_hash_)
    data_error("{}: its tensors are not those that were written: the content hash differs",
               path_.string());
}

}  // namespace assay
