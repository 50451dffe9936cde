#include "harness/tokenizer/hf_json/tokenizer_class.h"

#include <algorithm>
#include <map>
#include <set>

#include "harness/tokenizer/hf_json/tokenizer_settings.h"

namespace assay {
namespace {

using Override = TokenizerClass::Override;

constexpr std::string_view kEnd = "<|endoftext|>";
constexpr TokenizerClass kPlain{""};
constexpr TokenizerClass kClasses[] = {
    {"BartTokenizer", "<s>", "</s>", "<pad>", "<unk>", Override::kPrefixSpace},
    {"BertTokenizer", "", "", "[PAD]", "[UNK]", Override::kBertNormalizer},
    {"CodeGenTokenizer", kEnd, kEnd, "", kEnd, Override::kPrefixSpace},
    {"CodeLlamaTokenizer", "<s>", "</s>", "", "<unk>"},
    {"CohereTokenizer", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<PAD>", "<UNK>",
     Override::kPrefixSpace},
    {"GPT2Tokenizer", kEnd, kEnd, "", kEnd, Override::kPrefixSpace},
    {"GPTNeoXTokenizer", kEnd, kEnd, "<|padding|>", kEnd, Override::kPrefixSpaceAndEnds},
    {"GemmaTokenizer", "<bos>", "<eos>", "<pad>", "<unk>"},
    {"LlamaTokenizer", "<s>", "</s>", "", "<unk>", Override::kLlamaPrefix},
    {"Qwen2Tokenizer", "", kEnd, kEnd, kEnd, Override::kPrefixSpace},
    {"RobertaTokenizer", "<s>", "</s>", "<pad>", "<unk>", Override::kPrefixSpace},
    {"T5Tokenizer", "", "</s>", "<pad>", "<unk>"},
    {"XLMRobertaTokenizer", "<s>", "</s>", "<pad>", "<unk>"},
};

// Class names by "model_type". An empty name: the files are used, whatever class they name.
const std::map<std::string_view, std::string_view> kClassOfModelType{
    {"bart", "RobertaTokenizer"},
    {"bert", "BertTokenizer"},
    {"codegen", "GPT2Tokenizer"},
    {"cohere", "CohereTokenizer"},
    {"cohere2", "CohereTokenizer"},
    {"distilbert", "BertTokenizer"},
    {"electra", "BertTokenizer"},
    {"gemma", "GemmaTokenizer"},
    {"gemma2", "GemmaTokenizer"},
    {"gemma3", "GemmaTokenizer"},
    {"gemma3_text", "GemmaTokenizer"},
    {"glm", ""},
    {"glm4", ""},
    {"gpt2", "GPT2Tokenizer"},
    {"gpt_bigcode", ""},
    {"gpt_neo", "GPT2Tokenizer"},
    {"gpt_neox", "GPTNeoXTokenizer"},
    {"gptj", "GPT2Tokenizer"},
    {"granite", ""},
    {"granitemoe", ""},
    {"mamba", "GPTNeoXTokenizer"},
    {"mistral", ""},
    {"mixtral", ""},
    {"mpt", "GPTNeoXTokenizer"},
    {"mt5", "T5Tokenizer"},
    {"olmo", "GPTNeoXTokenizer"},
    {"olmo2", ""},
    {"olmoe", "GPTNeoXTokenizer"},
    {"opt", "GPT2Tokenizer"},
    {"phi", "GPT2Tokenizer"},
    {"phi3", ""},
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"qwen3_moe", "Qwen2Tokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"stablelm", ""},
    {"starcoder2", "GPT2Tokenizer"},
    {"switch_transformers", "T5Tokenizer"},
    {"t5", "T5Tokenizer"},
    {"umt5", ""},
    {"xlm-roberta", "XLMRobertaTokenizer"},
};

const TokenizerClass& class_named(std::string_view name) {
  const auto found = std::find_if(std::begin(kClasses), std::end(kClasses),
                                  [&](const TokenizerClass& one) { return one.name == name; });
  return found == std::end(kClasses) ? kPlain : *found;
}

/// Calls change(stage) for a stage of a tokenizer.json and, of a sequence, for each of its parts.
template <typename Change>
void each_stage(Json& tokenizer, const char* stage, const char* parts, const Change& change) {
  const auto found = tokenizer.find(stage);
  if (found == tokenizer.end() || !found->is_object()) return;
  change(*found);
  const auto list = found->find(parts);
  if (list == found->end() || !list->is_array()) return;
  for (Json& part : *list)
    if (part.is_object()) change(part);
}

bool is_type(const Json& stage, std::string_view type) {
  const auto found = stage.find("type");
  return found != stage.end() && *found == type;
}

void set_prefix_space(bool prefix, Json& tokenizer) {
  each_stage(tokenizer, "pre_tokenizer", "pretokenizers", [&](Json& stage) {
    if (is_type(stage, "ByteLevel")) stage["add_prefix_space"] = prefix;
  });
}

void set_llama_stages(const TokenizerSettings& settings, Json& tokenizer) {
  const auto model = tokenizer.find("model");
  if (model == tokenizer.end() || !model->is_object() || !model->contains("merges")) return;
  (*model)["fuse_unk"] = true;
  (*model)["byte_fallback"] = true;
  (*model)["unk_token"] = nullptr;
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = {{"type", "Metaspace"},
                                {"replacement", "\u2581"},
                                {"prepend_scheme", llama_prefix(settings)},
                                {"split", false}};
  Json decoders =
      Json::array({{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}});
  if (llama_prefix(settings) != "never")
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  tokenizer["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

void set_bert_normalizer(const TokenizerSettings& settings, Json& tokenizer) {
  each_stage(tokenizer, "normalizer", "normalizers", [&](Json& stage) {
    if (!is_type(stage, "BertNormalizer")) return;
    if (settings.lower_case) stage["lowercase"] = *settings.lower_case;
    if (settings.strip_accents) stage["strip_accents"] = *settings.strip_accents;
    if (settings.chinese_chars) stage["handle_chinese_chars"] = *settings.chinese_chars;
  });
}

}  // namespace

const TokenizerClass& tokenizer_class(const TokenizerSettings& settings, bool byte_level) {
  std::string_view named = settings.tokenizer_class;
  if (named.ends_with("Fast")) named.remove_suffix(4);
  const auto of_model = kClassOfModelType.find(settings.model_type);
  if (of_model == kClassOfModelType.end() || named.empty()) {
    if (named.empty())
      return of_model == kClassOfModelType.end() ? kPlain : class_named(of_model->second);
    // Llama 3's files name Llama's class, but use other stages.
    return byte_level && named == "LlamaTokenizer" ? kPlain : class_named(named);
  }
  if (of_model->second.empty()) return kPlain;
  // Files of these models name a wrong class.
  if (settings.model_type == "qwen2") return class_named(of_model->second);
  return byte_level && named == "LlamaTokenizer" ? kPlain : class_named(named);
}

bool is_byte_level(const Json& tokenizer) {
  Json stages = tokenizer.is_object() ? tokenizer.value("pre_tokenizer", Json()) : Json();
  bool found = false;
  Json whole{{"pre_tokenizer", std::move(stages)}};
  each_stage(whole, "pre_tokenizer", "pretokenizers",
             [&](const Json& stage) { found = found || is_type(stage, "ByteLevel"); });
  return found;
}

void override_stages(const TokenizerClass& hf_class, const TokenizerSettings& settings,
                     Json& tokenizer) {
  if (!tokenizer.is_object()) return;
  switch (hf_class.override_kind) {
    case Override::kNothing:
      return;
    case Override::kPrefixSpaceAndEnds:
      tokenizer["post_processor"] = nullptr;
      [[fallthrough]];
    case Override::kPrefixSpace:
      return set_prefix_space(settings.add_prefix_space.value_or(false), tokenizer);
    case Override::kLlamaPrefix:
      return set_llama_stages(settings, tokenizer);
    case Override::kBertNormalizer:
      return set_bert_normalizer(settings, tokenizer);
  }
}

std::string_view llama_prefix(const TokenizerSettings& settings) {
  if (!settings.add_prefix_space.value_or(true)) return "never";
  return settings.legacy.value_or(false) ? "always" : "first";
}

}  // namespace assay
