#include "harness/tokenizer/tokenizer.h"

#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/regular_file.h"
#include "harness/tokenizer/byte_tokenizer.h"
#include "harness/tokenizer/hf_json/json_tokenizer.h"
#include "harness/tokenizer/sentencepiece/sentencepiece_tokenizer.h"

namespace assay {
namespace {

constexpr const char* kTokenizerName = "tokenizer.json";

// Files of unsupported tokenizers: without this list the folder would seem to have no tokenizer.
constexpr const char* kUnsupported[] = {"vocab.json", "vocab.txt", "merges.txt",
                                        "sentencepiece.bpe.model", "tekken.json"};

/// The byte tokenizer suits only byte models: a word model whose tokenizer is missing would score
/// nonsense.
void check_for_bytes(const fs::path& folder, const TokenizerSettings& settings) {
  constexpr int64_t kBytes = 256;
  if (settings.tokenizer_class == "ByteTokenizer") return;
  const std::string name = folder.string();
  if (settings.vocabulary.value_or(0) > kBytes)
    data_error(
        "{}: there is no tokenizer (tokenizer.json, tokenizer.model or spiece.model), and "
        "config.json has {} tokens, more than there are bytes. Copy the tokenizer's files from the "
        "original model; if its tokens are bytes, say so in tokenizer_config.json: "
        R"({{"tokenizer_class": "ByteTokenizer"}})",
        name, *settings.vocabulary);
  log_warning_once(
      fmt::format("{}: there is no tokenizer: every byte of a text is one token", name));
}

std::shared_ptr<const Tokenizer> open_folder(const fs::path& folder) {
  Hasher hasher;
  const ModelTexts files(folder);
  const TokenizerSettings settings = TokenizerSettings::read(files, hasher);
  if (const auto text = files.find(kTokenizerName)) {
    hasher.text(kTokenizerName).text(*text);
    Json json = parse_json(*text, files.where(kTokenizerName));
    const TokenizerClass& hf_class = tokenizer_class(settings, is_byte_level(json));
    override_stages(hf_class, settings, json);
    return std::make_shared<JsonTokenizer>(JsonReader(json, files.where(kTokenizerName) + ": $"),
                                           settings, hf_class, hasher);
  }
  if (!files.made().empty()) data_error("{}: the metadata have no tokenizer", folder.string());
  if (const fs::path path = folder / "tokenizer.model"; file_exists(path))
    return std::make_shared<SentencePieceTokenizer>(
        path, SentencePieceTokenizer::SpecialTokens{.bos = true, .eos = false}, settings,
        tokenizer_class(settings, false), hasher);
  if (const fs::path path = folder / "spiece.model"; file_exists(path))
    return std::make_shared<SentencePieceTokenizer>(
        path, SentencePieceTokenizer::SpecialTokens{.bos = false, .eos = true}, settings,
        tokenizer_class(settings, false), hasher);
  for (const char* name : kUnsupported)
    if (fs::exists(folder / name))
      data_error(
          "{}: this kind of tokenizer is not supported; expected tokenizer.json, tokenizer.model "
          "or spiece.model next to it (transformers' AutoTokenizer saves the first)",
          (folder / name).string());
  check_for_bytes(folder, settings);
  return std::make_shared<ByteTokenizer>(settings, hasher);
}

}  // namespace

TokenizedInput Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                      int64_t max_tokens) const {
  return input_template(true).apply(encode(first, false), encode(second, false), max_tokens);
}

std::shared_ptr<const Tokenizer> Tokenizer::open(const fs::path& folder) {
  try {
    return open_folder(folder);
  } catch (const UserError& e) {  // here UserErrors are about the folder's files, hence data
    throw DataError(e.what());
  }
}

}  // namespace assay
