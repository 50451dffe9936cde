// llama.cpp's reference texts and ids for real vocabularies, in $ASSAY_TEST_DATA/tokenizers.
#include <fmt/format.h>

#include "harness/core/json.h"
#include "tests/catch.h"
#include "tests/skip.h"
#include "tests/tokenizer/gguf.h"
#include "tests/tokenizer/stages.h"

using namespace assay;

namespace {

Texts split_at(const std::string& text, const std::string& separator) {
  Texts out;
  size_t begin = 0;
  for (size_t at; (at = text.find(separator, begin)) != std::string::npos;
       begin = at + separator.size())
    out.push_back(text.substr(begin, at - begin));
  return out;
}

void check_references(const fs::path& file, const Tokenizer& tokenizer) {
  const Texts texts = split_at(read_file(file.string() + ".inp"), "\n__ggml_vocab_test__\n");
  const Texts expected = split_at(read_file(file.string() + ".out"), "\n");
  REQUIRE(texts.size() == expected.size());
  REQUIRE(texts.size() > 40);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string ids;
    for (const TokenId id : tokenizer.encode(texts[i], false)) ids += fmt::format(" {}", id);
    INFO(file.filename() << ", text " << i << ": " << Json(texts[i]));
    CHECK(ids == expected[i]);
  }
}

Json vocabulary_of(const Texts& tokens) {
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocab[tokens[id]] = id;
  return vocab;
}

}  // namespace

TEST_CASE("tokenizers of GGUF files on reference texts", "[tokenizer][optional]") {
  const fs::path folder = testing::test_data("tokenizers");
  for (const std::string name : {"gpt-2", "llama-spm", "phi-3"}) {
    const fs::path file = folder / ("ggml-vocab-" + name + ".gguf");
    check_references(file, *Tokenizer::open(file));
  }
}

TEST_CASE("BERT's vocabulary on reference texts", "[tokenizer][optional]") {
  const fs::path folder = testing::test_data("tokenizers");
  const fs::path file = folder / "ggml-vocab-bert-bge.gguf";
  const std::string symbol = "\u2581";  // GGUF marks the starts of words, not their continuations
  Texts tokens = GgufTexts(read_file(file)).at("tokenizer.ggml.tokens");
  for (std::string& token : tokens)
    if (token.starts_with(symbol))
      token.erase(0, symbol.size());
    else if (!token.starts_with('['))
      token.insert(0, 2, '#');
  const Json json{{"model",
                   {{"type", "WordPiece"},
                    {"vocab", vocabulary_of(tokens)},
                    {"unk_token", "[UNK]"},
                    {"continuing_subword_prefix", "##"}}},
                  {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
                  {"pre_tokenizer", {{"type", "BertPreTokenizer"}}}};
  const TokenizerFolder model({{"tokenizer.json", json.dump()}, {"config.json", "{}"}});
  check_references(file, *model.open());
}

TEST_CASE("Llama 2's SentencePiece model on reference texts", "[tokenizer][optional]") {
  const fs::path folder = testing::test_data("tokenizers");
  const TokenizerFolder model(
      {{"tokenizer.model", read_file(folder / "llama2_tokenizer.model")}, {"config.json", "{}"}});
  check_references(folder / "ggml-vocab-llama-spm.gguf", *model.open());
  CHECK(model.open()->encode("Hello", true) == TokenIds{1, 15043});
}
