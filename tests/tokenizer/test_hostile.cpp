// Malicious tokenizers, which would run for ever or exhaust the memory, end with an error message.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// A tokenizer.json of the letters a and b with other stages.
std::string with(const std::string& stages) {
  return R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]})" + stages + "}";
}

std::string many(const std::string& stage, int times) {
  std::string all = stage;
  for (int i = 1; i < times; ++i) all += "," + stage;
  return all;
}

std::string error_of(const std::string& json, const std::string& text) {
  const TokenizerFolder folder({{"tokenizer.json", json}, {"config.json", "{}"}});
  try {
    folder.open()->encode(text, true);
  } catch (const DataError& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("catastrophic backtracking is stopped", "[tokenizer]") {
  const auto split = [](const std::string& pattern) {
    return with(R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":")" + pattern +
                R"("},"behavior":"Isolated"})");
  };
  CHECK_THAT(error_of(split("(?:a|a){22}b|x"), std::string(2000, 'a')), Contains("backtracks"));
  // Few steps at every position, too many in all.
  CHECK_THAT(error_of(split("(?:a|b)*?(?:x|y)"), std::string(150'000, 'a')),
             Contains("backtracks"));
  // Backtracking over a match once is allowed, however long it is.
  CHECK(error_of(split("a*x|a+"), std::string(400'000, 'a')) == "none");
}

TEST_CASE("a search continues after positions without a match", "[tokenizer]") {
  const std::string json = R"({"type":"Split","pattern":{"Regex":"(?<=b)x|\u00e4y"},
                               "behavior":"Isolated","invert":false})";
  const std::string gap(1000, 'a');
  CHECK(pre_tokens_of(json, gap + "bx" + gap + "\u00e4y") == Texts{gap + "b", "x", gap, "\u00e4y"});
  for (size_t n = 250; n < 262; ++n) {  // around the number of positions that are tried together
    const std::string before(n, 'a');
    CHECK(pre_tokens_of(json, before + "\u00e4y") == Texts{before, "\u00e4y"});
    CHECK(pre_tokens_of(json, before + "bx") == Texts{before + "b", "x"});
  }
}

TEST_CASE("stages whose text grows too much are stopped", "[tokenizer]") {
  const std::string grow =
      R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1000, 'a') + "\"}";
  const std::string bytes = R"({"type":"ByteLevel"})";
  const std::string split_bytes =
      R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";
  const std::string more = "more than";
  CHECK_THAT(
      error_of(with(R"(,"normalizer":{"type":"Sequence","normalizers":[)" + many(grow, 6) + "]}"),
               "a"),
      Contains(more));
  CHECK_THAT(
      error_of(with(R"(,"normalizer":{"type":"Sequence","normalizers":[)" + many(bytes, 40) + "]}"),
               "\u00e4"),
      Contains(more));
  CHECK_THAT(error_of(with(R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)" +
                           many(split_bytes, 40) + "]}"),
                      "\u00e4"),
             Contains(more));
  const TokenizerFolder decoder(
      {{"tokenizer.json",
        with(R"(,"decoder":{"type":"Sequence","decoders":[)" + many(grow, 6) + "]}")},
       {"config.json", "{}"}});
  CHECK_THROWS_WITH(decoder.open()->decode({0}, false), Contains(more));
  CHECK(error_of(with(",\"normalizer\":" + grow), "aaa") == "none");
}

TEST_CASE("long tokens that a text almost contains are stopped", "[tokenizer]") {
  const std::string token = std::string(20'000, 'a') + "x", text(200'000, 'a');
  CHECK_THAT(error_of(with(R"(,"added_tokens":[{"id":2,"content":")" + token + "\"}]"), text),
             Contains("long tokens"));
  const std::string unigram =
      R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a",-1],[")" + token + R"(",-1]]}})";
  CHECK_THAT(error_of(unigram, text), Contains("long tokens"));
  const std::string long_prefix(1000, 'a');
  CHECK_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],
                          "continuing_subword_prefix":")" +
                          long_prefix + "\"}}",
                      "a"),
             Contains("at most 512 bytes"));
  CHECK_THAT(
      error_of(R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,")" + long_prefix + "\":1}}}",
               "a"),
      Contains("at most 512 bytes"));
}

TEST_CASE("spaces next to a token are read once", "[tokenizer]") {
  const std::string json = with(R"(,"added_tokens":[{"id":2,"content":" ","rstrip":true}])");
  const TokenizerFolder folder({{"tokenizer.json", json}, {"config.json", "{}"}});
  CHECK(folder.open()->encode("a" + std::string(1'000'000, ' ') + "b", false).front() == 0);
}

TEST_CASE("too many special tokens around a text are rejected", "[tokenizer]") {
  const std::string one = R"({"SpecialToken":{"id":"a","type_id":0}})";
  CHECK_THAT(error_of(with(R"(,"post_processor":{"type":"TemplateProcessing","single":[)" +
                           many(one, 2000) + R"(,{"Sequence":{"id":"A","type_id":0}}],"pair":[],
                           "special_tokens":{"a":{"id":"a","ids":[0],"tokens":["a"]}}})"),
                      "a"),
             Contains("$.post_processor.single") && Contains("at most 1024"));
}
