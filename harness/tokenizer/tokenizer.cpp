#include "harness/tokenizer/tokenizer.h"

#include "harness/core/error.h"
#include "harness/core/regular_file.h"
#include "harness/tokenizer/byte_tokenizer.h"
#include "harness/tokenizer/json_tokenizer.h"
#include "harness/tokenizer/sentencepiece_tokenizer.h"

namespace assay {
namespace {

// Of tokenizers that no other file describes: without them the folder would seem to have none.
constexpr const char* kUnsupported[] = {"vocab.json", "vocab.txt", "merges.txt",
                                        "sentencepiece.bpe.model", "tekken.json"};

std::shared_ptr<const Tokenizer> open_folder(const fs::path& folder) {
  Hasher hasher;
  const TokenizerSettings settings = TokenizerSettings::read(folder, hasher);
  if (const fs::path path = folder / "tokenizer.json"; is_there(path)) {
    const std::string text = read_file(path);
    hasher.text("tokenizer.json").text(text);
    const Json json = parse_json(text, path.string());
    return std::make_shared<JsonTokenizer>(JsonReader(json, path.string() + ": $"), settings,
                                           hasher);
  }
  if (const fs::path path = folder / "tokenizer.model"; fs::exists(path))
    return std::make_shared<SentencePieceTokenizer>(
        path, SentencePieceTokenizer::Surroundings{.bos = true, .eos = false}, settings, hasher);
  if (const fs::path path = folder / "spiece.model"; fs::exists(path))
    return std::make_shared<SentencePieceTokenizer>(
        path, SentencePieceTokenizer::Surroundings{.bos = false, .eos = true}, settings, hasher);
  for (const char* name : kUnsupported)
    if (fs::exists(folder / name))
      data_error(
          "{}: a tokenizer of this kind is not read; expected tokenizer.json, tokenizer.model or "
          "spiece.model beside it (transformers' AutoTokenizer saves the first)",
          (folder / name).string());
  return std::make_shared<ByteTokenizer>(settings, hasher);
}

}  // namespace

ArrangedTokens Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                      int64_t max_tokens) const {
  return arrangement(true).arrange(encode(first, false), encode(second, false), max_tokens);
}

std::shared_ptr<const Tokenizer> Tokenizer::open(const fs::path& folder) {
  try {
    return open_folder(folder);
  } catch (const UserError& e) {  // the readers' complaints are about the folder's files here
    throw DataError(e.what());
  }
}

}  // namespace assay
