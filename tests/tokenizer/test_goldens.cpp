// What the libraries tokenizers and sentencepiece do with small tokenizers and tricky texts; made
// by scripts/peers/tokenizer_goldens.py.
#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"
#include "tests/catch.h"

using namespace assay;

namespace {

void check_golden(const std::string& name) {
  const fs::path folder = fs::path(ASSAY_TESTS_FOLDER) / "golden/tokenizer";
  const Json texts = read_json(folder / "texts.json");
  const Json lines = read_json(folder / name / "lines.json");
  const auto tokenizer = Tokenizer::open(folder / name);
  REQUIRE(texts.size() == lines.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    INFO("line " << i << ": " << texts[i]);
    const auto ids = lines[i][0].get<TokenIds>();
    CHECK(tokenizer->encode(text, true) == ids);
    CHECK(tokenizer->decode(ids, true) ==
          (lines[i][1].is_null() ? text : lines[i][1].get<std::string>()));
  }
}

void check_pairs(const std::string& name) {
  const fs::path folder = fs::path(ASSAY_TESTS_FOLDER) / "golden/tokenizer";
  const Json texts = read_json(folder / "texts.json");
  const auto tokenizer = Tokenizer::open(folder / name);
  for (const Json& row : read_json(folder / name / "pairs.json")) {
    const auto first = texts[row[0].get<size_t>()].get<std::string>();
    const auto second = texts[row[1].get<size_t>()].get<std::string>();
    INFO(texts[row[0].get<size_t>()] << " and " << texts[row[1].get<size_t>()] << " in " << row[2]);
    const ArrangedTokens both = tokenizer->encode_pair(first, second, row[2].get<int64_t>());
    CHECK(both.ids == row[3].get<TokenIds>());
    CHECK(both.types == row[4].get<std::vector<int32_t>>());
  }
}

}  // namespace

TEST_CASE("byte-level BPE, as GPT-2's", "[tokenizer]") { check_golden("byte_level"); }
TEST_CASE("byte-level BPE with whole pieces first, as Llama 3's", "[tokenizer]") {
  check_golden("llama3");
}
TEST_CASE("BPE with byte fallback, as Llama 2's", "[tokenizer]") { check_golden("llama2"); }
TEST_CASE("BPE with ends of words, as CLIP's", "[tokenizer]") { check_golden("clip"); }
TEST_CASE("WordPiece, as BERT's", "[tokenizer]") { check_golden("bert"); }
TEST_CASE("byte-level BPE, as RoBERTa's", "[tokenizer]") { check_golden("roberta"); }
TEST_CASE("pairs of texts, arranged and cut as the reference does", "[tokenizer]") {
  for (const char* name : {"bert", "roberta", "llama3"}) check_pairs(name);
}
TEST_CASE("Unigram, as T5's", "[tokenizer]") { check_golden("unigram"); }
TEST_CASE("a SentencePiece unigram model", "[tokenizer]") { check_golden("pieces_unigram"); }
TEST_CASE("a SentencePiece BPE model", "[tokenizer]") { check_golden("pieces_bpe"); }
