#include "harness/merge/tokenizer_files.h"

#include "harness/checkpoint/model_texts.h"
#include "harness/core/hash.h"
#include "harness/core/json.h"

namespace assay {
namespace {

constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    "vocab.json",     "merges.txt",      "vocab.txt",    "tekken.json",
    "spm.model",      "source.spm",      "target.spm",   "added_tokens.json"};

constexpr const char* kSettings = "tokenizer_config.json";
// Its keys that say nothing about ids.
constexpr const char* kNoSettings[] = {"chat_template", "name_or_path"};

std::string settings_hash(const std::string& text, const std::string& where) {
  Json settings = parse_json(text, where);
  if (settings.is_object())
    for (const char* key : kNoSettings) settings.erase(key);
  return hash_text(canonical(settings));
}

}  // namespace

std::map<std::string, std::string> tokenizer_hashes(const Checkpoint& model) {
  std::map<std::string, std::string> hashes;
  const ModelTexts files(model.path());
  for (const char* name : kTokenizerFiles)
    if (const auto text = files.find(name)) hashes[name] = Hasher().text(*text).hex();
  if (const auto text = files.find(kSettings))
    hashes[kSettings] = settings_hash(*text, files.where(kSettings));
  return hashes;
}

bool have_different_tokenizers(const Checkpoint& one, const Checkpoint& other) {
  if (&one == &other) return false;
  const auto a = tokenizer_hashes(one), b = tokenizer_hashes(other);
  return !a.empty() && !b.empty() && a != b;
}

}  // namespace assay
