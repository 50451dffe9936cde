#include "harness/core/error.h"
#include "harness/tokenizer/sentencepiece/piece_file.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

// A model file, field by field, in the wire format of Protocol Buffers.
std::string key(int field, int wire) {
  return std::string(1, static_cast<char>(field << 3 | wire));
}
std::string flag(int field, int value) {
  const std::string number(1, static_cast<char>(value));
  if (field < 16) return key(field, 0) + number;
  return std::string{static_cast<char>((field & 15) << 3 | 0x80), static_cast<char>(field >> 4)} +
         number;
}
std::string message(int field, const std::string& bytes) {
  return key(field, 2) + std::string(1, static_cast<char>(bytes.size())) + bytes;
}
std::string piece(const std::string& text, float score, PieceFile::Kind kind) {
  std::string bits(4, '\0');
  std::memcpy(bits.data(), &score, bits.size());
  return message(1, message(1, text) + key(2, 5) + bits + flag(3, static_cast<int>(kind)));
}

using Kind = PieceFile::Kind;
const std::string kSpecial = piece("<unk>", 0, Kind::kUnknown) + piece("<s>", 0, Kind::kControl) +
                             piece("</s>", 0, Kind::kControl);

std::string bpe(const std::string& normalizer) {
  return kSpecial + piece("\u2581", -9, Kind::kNormal) + piece("a", -9, Kind::kNormal) +
         piece("b", -9, Kind::kNormal) + piece("ab", -1, Kind::kNormal) +
         piece("\u2581a", -2, Kind::kNormal) + piece("<u>", 0, Kind::kUser) +
         message(2, flag(3, 2)) + message(3, normalizer);
}

std::shared_ptr<const Tokenizer> open_model(const std::string& bytes,
                                            const std::string& config = "{}",
                                            const std::string& name = "tokenizer.model") {
  return TokenizerFolder({{name, bytes}, {"tokenizer_config.json", config}}).open();
}

}  // namespace

TEST_CASE("a SentencePiece BPE model merges the pair with the best piece first", "[tokenizer]") {
  const auto tokenizer = open_model(bpe(""));
  CHECK(tokenizer->encode("a", false) == TokenIds{7});
  CHECK(tokenizer->encode("ab", false) == TokenIds{3, 6});           // "ab" is better than "_a"
  CHECK(tokenizer->encode("  a   b ", false) == TokenIds{7, 3, 5});  // single spaces
  CHECK(tokenizer->encode("axyb", false) ==
        TokenIds{7, 0, 5});  // adjacent unknown characters are one
  CHECK(tokenizer->encode("a<u>b", false) == TokenIds{7, 8, 5});
  CHECK(tokenizer->encode("a<s></s><unk>", false) == TokenIds{7, 1, 2, 0});  // not matched in text
  CHECK(tokenizer->decode({7, 3, 5, 0}, true) == "a b \u2047 ");
  CHECK(tokenizer->decode({1, 7, 2}, true) == "a");
  CHECK(tokenizer->decode({1, 7, 2}, false) == "<s> a</s>");
  CHECK_THROWS_WITH(tokenizer->decode({9}, true), Contains("no token with id 9"));
}

TEST_CASE("a SentencePiece model can keep spaces as they are", "[tokenizer]") {
  const auto tokenizer = open_model(bpe(flag(3, 0) + flag(4, 0)));
  CHECK(tokenizer->encode("a  b", false) == TokenIds{4, 3, 3, 5});
  CHECK(tokenizer->decode({3, 4}, true) == " a");
}

TEST_CASE("BOS and EOS around the text of a SentencePiece model", "[tokenizer]") {
  CHECK(open_model(bpe(""))->encode("a", true) == TokenIds{1, 7});
  CHECK(open_model(bpe(""), "{}", "spiece.model")->encode("a", true) == TokenIds{7, 2});
  CHECK(open_model(bpe(""), R"({"add_bos_token":false,"add_eos_token":true})")->encode("a", true) ==
        TokenIds{7, 2});
  CHECK(open_model(bpe(""))->bos() == 1);
  CHECK(open_model(bpe(""))->eos() == 2);
  CHECK(!open_model(bpe(""))->pad());
  CHECK(open_model(bpe(""))->unknown() == 0);
}

TEST_CASE("the class decides where a SentencePiece model's text starts with a space",
          "[tokenizer]") {
  const auto ids = [](const std::string& more) {
    return open_model(bpe(flag(4, 0)), R"({"tokenizer_class":"LlamaTokenizer")" + more + "}")
        ->encode("a<s>a", true);
  };
  CHECK(ids("") == TokenIds{7, 1, 4});
  CHECK(ids(R"(,"legacy":true)") == TokenIds{7, 1, 7});
  CHECK(ids(R"(,"add_prefix_space":false)") == TokenIds{4, 1, 4});
  CHECK(ids(R"(,"add_bos_token":true)") == TokenIds{1, 7, 1, 4});
}

TEST_CASE("added tokens with a SentencePiece model", "[tokenizer]") {
  const auto tokenizer =
      TokenizerFolder({{"tokenizer.model", bpe("")}, {"added_tokens.json", R"({"[x]":9,"<s>":1})"}})
          .open();
  CHECK(tokenizer->encode("a[x]b<s>", false) == TokenIds{7, 9, 3, 5, 1});
  CHECK(tokenizer->size() == 10);
  CHECK(tokenizer->decode({7, 9}, true) == "a[x]");
}

TEST_CASE("invalid SentencePiece models are rejected with the file's name", "[tokenizer]") {
  const auto refused = [](const std::string& bytes, const std::string& part) {
    CHECK_THROWS_AS(open_model(bytes), DataError);
    CHECK_THROWS_WITH(open_model(bytes), Contains("tokenizer.model") && Contains(part));
  };
  refused(bpe("").substr(0, 20), "at byte");
  refused(message(2, flag(3, 2)), "without pieces");
  refused(bpe("") + message(2, flag(3, 3)), "type 3");
  refused(bpe("") + message(2, flag(24, 1)), "treat_whitespace_as_suffix");
  refused(bpe("") + piece("a", 0, Kind::kNormal), "two pieces");
  refused(bpe("") + piece("ba", 0, Kind::kUnused), "unused");
  refused(bpe("") + piece("0A", 0, Kind::kByte), "piece 9");
  refused(bpe("") + message(2, flag(35, 1)), "256");
  refused(piece("a", 0, Kind::kNormal), "without an unknown piece");
  refused(bpe(message(2, "xx")), "table");
}
