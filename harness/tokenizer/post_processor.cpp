#include "harness/tokenizer/post_processor.h"

#include "harness/tokenizer/stage.h"

namespace assay {
namespace {

TokenId as_id(const JsonReader& json) {
  const int64_t id = json.as_integer();
  if (id < 0 || id > INT32_MAX) json.fail("expected an id");
  return static_cast<TokenId>(id);
}

using Made = std::unique_ptr<Surround>;

/// ["[SEP]", 102]
TokenId id_of_pair(const JsonReader& json) {
  const auto pair = json.elements();
  if (pair.size() != 2) json.fail("expected a token and its id");
  return as_id(pair[1]);
}

Made make_bert(JsonReader& json) {
  // RoBERTa's two say how places in the text are reported, which nobody asks for here.
  json.find("trim_offsets");
  json.find("add_prefix_space");
  return std::make_unique<Surround>(
      Surround{{id_of_pair(json.at("cls"))}, {id_of_pair(json.at("sep"))}});
}

Made make_byte_level(JsonReader& json) {
  for (const char* about_places : {"add_prefix_space", "trim_offsets", "use_regex"})
    json.find(about_places);
  return std::make_unique<Surround>();
}

Made make_template(JsonReader& json) {
  auto surround = std::make_unique<Surround>();
  JsonReader specials = json.at("special_tokens");
  json.find("pair");  // single texts only
  const JsonReader single = json.at("single");
  bool text_seen = false;
  for (JsonReader part : single.elements()) {
    if (auto text = part.find("Sequence")) {
      if (text_seen || text->string("id") != "A") text->fail("expected the text \"A\", and once");
      text_seen = true;
      continue;
    }
    const std::string name = part.at("SpecialToken").string("id");
    for (const JsonReader& id : specials.at(name).at("ids").elements())
      (text_seen ? surround->after : surround->before).push_back(as_id(id));
  }
  if (!text_seen) single.fail("expected the text among its parts");
  return surround;
}

Made make_sequence(JsonReader& json) {
  auto all = std::make_unique<Surround>();
  for (const JsonReader& part : json.at("processors").elements()) {
    const Surround next = read_post_processor(part);
    all->before.insert(all->before.begin(), next.before.begin(), next.before.end());
    all->after.insert(all->after.end(), next.after.begin(), next.after.end());
  }
  return all;
}

}  // namespace

Surround read_post_processor(const JsonReader& json) {
  static const StageMakers<Surround> makers{{"BertProcessing", make_bert},
                                            {"ByteLevel", make_byte_level},
                                            {"RobertaProcessing", make_bert},
                                            {"Sequence", make_sequence},
                                            {"TemplateProcessing", make_template}};
  return *make_stage(json, "post-processor", makers);
}

}  // namespace assay
