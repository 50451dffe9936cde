#include "harness/tokenizer/models/token_model.h"

#include "harness/tokenizer/hf_json/stage.h"

namespace assay {
namespace {

/// Old files do not state the type, so it is inferred from the keys.
std::string infer_type(const JsonReader& json) {
  const Json& model = json.json();
  if (model.contains("merges")) return "BPE";
  if (model.contains("vocab") && model["vocab"].is_array()) return "Unigram";
  return model.contains("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

}  // namespace

std::unique_ptr<TokenModel> make_token_model(const JsonReader& json) {
  static const StageFactories<TokenModel> makers{{"BPE", make_bpe},
                                                 {"Unigram", make_unigram},
                                                 {"WordLevel", make_word_level},
                                                 {"WordPiece", make_word_piece}};
  if (!json.is_object() || json.json().contains("type"))
    return make_stage(json, "tokenizer model", makers);
  Json typed = json.json();
  typed["type"] = infer_type(json);
  return make_stage(JsonReader(typed, json.where()), "tokenizer model", makers);
}

}  // namespace assay
