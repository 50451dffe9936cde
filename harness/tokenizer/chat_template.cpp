#include "harness/tokenizer/chat_template.h"

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/tokenizer/hf_json/tokenizer_settings.h"

namespace assay {
namespace {

/// The text of a template, or of the one called "default" in a list of them.
std::string text_of(const JsonReader& json) {
  if (!json.is_array()) return json.as_string();
  for (JsonReader entry : json.elements())
    if (entry.string("name") == "default") return entry.string("template");
  json.fail("expected a template with the name 'default'");
}

Json read(const ModelTexts& files, const std::filesystem::path& model) {
  Json out{{"tokens", Json::object()}};
  Hasher unused;
  const TokenizerSettings settings = TokenizerSettings::read(files, unused);
  const TokenizerClass& hf_class = tokenizer_class(settings, false);
  for (const auto& [key, of_class] :
       {std::pair("bos_token", hf_class.bos), std::pair("eos_token", hf_class.eos),
        std::pair("pad_token", hf_class.pad), std::pair("unk_token", hf_class.unknown)})
    if (const auto token = settings.special(key, of_class)) out["tokens"][key] = *token;
  if (const auto text = files.find("chat_template.jinja")) {
    out["template"] = *text;
    return out;
  }
  constexpr const char* kConfig = "tokenizer_config.json";
  const auto text = files.find(kConfig);
  const Json config = text ? parse_json(*text, files.where(kConfig)) : Json::object();
  JsonReader reader(config, files.where(kConfig) + ": $");
  const auto found = config.is_object() ? reader.find("chat_template") : std::nullopt;
  if (!found)
    data_error(
        "'{}' has no chat template: neither chat_template.jinja nor 'chat_template' in {}; it may be "
        "a base model, which is not trained on chats",
        model.string(), kConfig);
  out["template"] = text_of(*found);
  return out;
}

}  // namespace

ChatTemplate ChatTemplate::open(const std::filesystem::path& model) {
  const std::string where = model.string() + ": chat template";
  try {
    return {read(ModelTexts(model), model), where};
  } catch (const UserError& error) {  // here these are about the model's files
    throw DataError(error.what());
  }
}

ChatTemplate::ChatTemplate(const Json& json, const std::string& where)
    : json_(json),
      template_(JsonReader(json, where).string("template"), where, JinjaOptions::of_chats()) {}

std::string ChatTemplate::apply(const std::vector<ChatMessage>& messages, bool prompt) const {
  OrderedJson context;
  for (const auto& [name, token] : json_.at("tokens").items())
    context[name] = token.get<std::string>();
  context["messages"] = OrderedJson::array();
  for (const ChatMessage& message : messages)
    context["messages"].push_back({{"role", message.role}, {"content", message.content}});
  context["add_generation_prompt"] = prompt;
  // What transformers always defines.
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  return template_.render(context);
}

}  // namespace assay
