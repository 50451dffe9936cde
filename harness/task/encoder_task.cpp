#include "harness/task/encoder_task.h"

#include "harness/core/error.h"

namespace assay {

EncoderDefinition::EncoderDefinition(JsonReader& reader, const std::vector<std::string>& known,
                                     const std::vector<std::string>& default_metrics)
    : TextDataDefinition(reader, known, default_metrics), first(reader.at("text")) {
  if (const auto text = reader.find("text_pair")) second.emplace(*text);
}

EncoderTask::EncoderTask(std::string name, const Json& json,
                         std::shared_ptr<const EncoderDefinition> definition,
                         const std::string& rule)
    : TextDataTask(std::move(name), json, definition, rule), definition_(std::move(definition)) {}

std::vector<ItemRequests> EncoderTask::item_requests(Split split) const {
  std::vector<ItemRequests> all;
  const std::shared_ptr<const TextItems> scored = items(split);
  for (const TextItem& item : *scored) {
    ItemRequests entry{.where = item.where, .texts = {definition_->first.fill(item)}};
    if (definition_->second) entry.texts.push_back(definition_->second->fill(item));
    entry.target = gold(item);
    entry.label = gold_class(item);
    all.push_back(std::move(entry));
  }
  return all;
}

std::vector<MetricResult> EncoderTask::evaluate(const Predictor& predictor, Split split) const {
  const EncoderPredictor* encoder = as_encoder(predictor);
  if (!encoder)
    user_error("the task '{}' needs an encoder, such as BERT; this model is {}", name(),
               predictor.what());
  const std::shared_ptr<const TextItems> all = items(split);
  std::vector<EncoderText> texts;
  for (const TextItem& item : *all) {
    EncoderText text{.first = definition_->first.fill(item),
                     .where = fmt::format("task '{}': {}", name(), item.where)};
    if (definition_->second) text.second = definition_->second->fill(item);
    texts.push_back(std::move(text));
  }
  return select_metrics(score(*encoder, *all, texts));
}

}  // namespace assay
