#include "harness/tokenizer/hf_json/post_processor.h"

#include <algorithm>

#include "harness/tokenizer/hf_json/added_tokens.h"
#include "harness/tokenizer/hf_json/stage.h"

namespace assay {
namespace {

using PostProcessorPtr = std::unique_ptr<PostProcessor>;
using Part = InputTemplate::Part;
using Source = InputTemplate::Source;

constexpr size_t kMaxParts = 1024;  // these are added to every text

/// ["[SEP]", 102]
TokenId id_of_pair(const JsonReader& json) {
  const auto pair = json.elements();
  if (pair.size() != 2) json.fail("expected a token and its id");
  return read_token_id(pair[1]);
}

PostProcessorPtr make_bert(JsonReader& json) {
  const Part cls{Source::kToken, 0, id_of_pair(json.at("cls"))};
  const Part sep{Source::kToken, 0, id_of_pair(json.at("sep"))};
  const Part last{Source::kToken, 1, sep.id};
  return std::make_unique<PostProcessor>(
      PostProcessor{{{cls, {Source::kFirst}, sep}},
                    InputTemplate{{cls, {Source::kFirst}, sep, {Source::kSecond, 1}, last}}});
}

PostProcessorPtr make_roberta(JsonReader& json) {
  // These affect reported offsets only, which are not used here.
  json.find("trim_offsets");
  json.find("add_prefix_space");
  const Part cls{Source::kToken, 0, id_of_pair(json.at("cls"))};
  const Part sep{Source::kToken, 0, id_of_pair(json.at("sep"))};
  return std::make_unique<PostProcessor>(
      PostProcessor{{{cls, {Source::kFirst}, sep}},
                    InputTemplate{{cls, {Source::kFirst}, sep, sep, {Source::kSecond}, sep}}});
}

PostProcessorPtr make_byte_level(JsonReader& json) {
  for (const char* about_places : {"add_prefix_space", "trim_offsets", "use_regex"})
    json.find(about_places);
  return std::make_unique<PostProcessor>();
}

InputTemplate read_template(const JsonReader& json, JsonReader& specials) {
  InputTemplate input_template;
  for (JsonReader part : json.elements()) {
    const auto text = part.find("Sequence");
    JsonReader content = text ? *text : part.at("SpecialToken");
    const auto type = static_cast<int32_t>(content.integer("type_id", 0));
    const std::string name = content.string("id");
    if (text) {
      if (name != "A" && name != "B") text->fail("expected the text \"A\" or \"B\"");
      input_template.parts.push_back({name == "A" ? Source::kFirst : Source::kSecond, type});
    } else {
      for (const JsonReader& id : specials.at(name).at("ids").elements())
        input_template.parts.push_back({Source::kToken, type, read_token_id(id)});
    }
    if (input_template.parts.size() > kMaxParts)
      json.fail(fmt::format("expected at most {} tokens", kMaxParts));
  }
  return input_template;
}

int64_t count(const InputTemplate& input_template, Source source) {
  return std::count_if(input_template.parts.begin(), input_template.parts.end(),
                       [&](const Part& part) { return part.source == source; });
}

PostProcessorPtr make_template(JsonReader& json) {
  JsonReader specials = json.at("special_tokens");
  const JsonReader single = json.at("single");
  PostProcessor texts{read_template(single, specials), std::nullopt};
  if (count(texts.single, Source::kFirst) != 1 || count(texts.single, Source::kSecond) != 0)
    single.fail("expected the text \"A\" among its parts, and once");
  // The library writes an empty template for "no pairs".
  if (const auto pair = present(json, "pair"); pair && !pair->elements().empty()) {
    texts.pair = read_template(*pair, specials);
    for (const Source text : {Source::kFirst, Source::kSecond})
      if (count(*texts.pair, text) != 1) pair->fail("expected each of two texts, and once");
  }
  return std::make_unique<PostProcessor>(std::move(texts));
}

bool adds_tokens(const PostProcessor& texts) { return count(texts.single, Source::kToken) > 0; }

// Each post-processor is applied to the output of the one before it.
PostProcessorPtr make_post_processor_sequence(JsonReader& json) {
  auto all = std::make_unique<PostProcessor>();
  for (const JsonReader& part : json.at("processors").elements()) {
    PostProcessor next = read_post_processor(part);
    // The reference has no rule for pairs after two that add tokens.
    if (!adds_tokens(*all))
      all->pair = std::move(next.pair);
    else if (adds_tokens(next))
      all->pair.reset();
    const auto text =
        std::find_if(next.single.parts.begin(), next.single.parts.end(),
                     [](const Part& candidate) { return candidate.source == Source::kFirst; });
    const auto place = next.single.parts.erase(text);
    next.single.parts.insert(place, all->single.parts.begin(), all->single.parts.end());
    all->single = std::move(next.single);
    if (all->single.parts.size() > kMaxParts)
      json.fail(fmt::format("expected at most {} tokens around a text", kMaxParts));
  }
  return all;
}

}  // namespace

PostProcessor read_post_processor(const JsonReader& json) {
  static const StageFactories<PostProcessor> makers{{"BertProcessing", make_bert},
                                                    {"ByteLevel", make_byte_level},
                                                    {"RobertaProcessing", make_roberta},
                                                    {"Sequence", make_post_processor_sequence},
                                                    {"TemplateProcessing", make_template}};
  return *make_stage(json, "post-processor", makers);
}

}  // namespace assay
