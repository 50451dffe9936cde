#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("BPE merges the pair of the lowest rank first, and of equal ranks the leftmost",
          "[tokenizer]") {
  const std::string json = R"({"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"bc":4,"abc":5},
                               "merges":["b c",["a","b"],"a bc"]})";
  CHECK(model_tokens(json, "abc") == Texts{"abc"});  // b c, then a bc
  CHECK(model_tokens(json, "ab") == Texts{"ab"});
  CHECK(model_tokens(json, "abab") == Texts{"ab", "ab"});
  CHECK(model_tokens(R"({"type":"BPE","vocab":{"a":0,"aa":1},"merges":["a a"]})", "aaa") ==
        Texts{"aa", "a"});
}

TEST_CASE("with ignore_merges BPE keeps a pre-token of the vocabulary", "[tokenizer]") {
  const auto json = [](const std::string& whole) {
    return R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[],"ignore_merges":)" + whole +
           "}";
  };
  CHECK(model_tokens(json("false"), "ab") == Texts{"a", "b"});
  CHECK(model_tokens(json("true"), "ab") == Texts{"ab"});
}

TEST_CASE("BPE with unknown characters", "[tokenizer]") {
  const auto json = [](const std::string& more) {
    return R"({"type":"BPE","vocab":{"?":0,"a":1,"<0xC3>":2,"<0xA9>":3},"merges":[])" + more + "}";
  };
  CHECK(model_tokens(json(""), "xxa") == Texts{"a"});
  CHECK(model_tokens(json(R"(,"unk_token":"?")"), "xxa") == Texts{"?", "?", "a"});
  CHECK(model_tokens(json(R"(,"unk_token":"?","fuse_unk":true)"), "xxax") == Texts{"?", "a", "?"});
  const std::string bytes = R"(,"unk_token":"?","byte_fallback":true)";
  CHECK(model_tokens(json(bytes), "a\u00E9") == Texts{"a", "<0xC3>", "<0xA9>"});
  CHECK(model_tokens(json(bytes), "\u00E8") == Texts{"?"});  // <0xA8> is missing
}

TEST_CASE("BPE's prefixes inside words and suffixes at their ends", "[tokenizer]") {
  CHECK(model_tokens(R"({"type":"BPE","vocab":{"a":0,"b</w>":1,"ab</w>":2},"merges":["a b</w>"],
                         "end_of_word_suffix":"</w>"})",
                     "ab") == Texts{"ab</w>"});
  CHECK(model_tokens(R"({"type":"BPE","vocab":{"a":0,"##b":1,"ab":2},"merges":["a ##b"],
                         "continuing_subword_prefix":"##"})",
                     "ab") == Texts{"ab"});
}

TEST_CASE("a Unigram model chooses the most likely tokens", "[tokenizer]") {
  const std::string json = R"({"type":"Unigram","unk_id":0,"byte_fallback":false,
    "vocab":[["?",0],["a",-2],["b",-2],["ab",-3],["abc",-9],["c",-2],["<0x64>",-20]]})";
  CHECK(model_tokens(json, "ab") == Texts{"ab"});        // -3 beats -4
  CHECK(model_tokens(json, "abc") == Texts{"ab", "c"});  // -5 beats -9
  CHECK(model_tokens(json, "azzb") == Texts{"a", "?", "b"});
  const std::string bytes = R"({"type":"Unigram","unk_id":0,"byte_fallback":true,
    "vocab":[["?",0],["a",-2],["<0x64>",-20]]})";
  CHECK(model_tokens(bytes, "ad") == Texts{"a", "<0x64>"});
  CHECK(model_tokens(bytes, "ae") == Texts{"a", "?"});
  CHECK_THROWS_WITH(model_tokens(R"({"type":"Unigram","unk_id":null,"vocab":[["a",-1]]})", "b"),
                    Contains("no token for \"b\""));
}

TEST_CASE("WordPiece chooses the longest matching token", "[tokenizer]") {
  const std::string json =
      R"({"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
          "max_input_chars_per_word":6,
          "vocab":{"[UNK]":0,"un":1,"##aff":2,"##able":3,"u":4,"##n":5,"\u00E9":6,"##\u00E9":7}})";
  CHECK(model_tokens(json, "unaff") == Texts{"un", "##aff"});
  CHECK(model_tokens(json, "unn") == Texts{"un", "##n"});
  CHECK(model_tokens(json, "unx") == Texts{"[UNK]"});  // all or nothing
  CHECK(model_tokens(json, "\u00E9\u00E9") == Texts{"\u00E9", "##\u00E9"});
  CHECK(model_tokens(json, "unnnnnn") == Texts{"[UNK]"});  // too long
}

TEST_CASE("a WordLevel model has only full pre-tokens", "[tokenizer]") {
  const std::string json = R"({"type":"WordLevel","vocab":{"?":0,"hi":1},"unk_token":"?"})";
  CHECK(model_tokens(json, "hi") == Texts{"hi"});
  CHECK(model_tokens(json, "his") == Texts{"?"});
}

TEST_CASE("the type of models in old files is inferred from their keys", "[tokenizer]") {
  CHECK(model_tokens(R"({"vocab":{"a":0,"aa":1},"merges":["a a"]})", "aa") == Texts{"aa"});
  CHECK(model_tokens(R"({"vocab":[["?",0],["a",-1]],"unk_id":0})", "a") == Texts{"a"});
}

TEST_CASE("invalid models are rejected with the place", "[tokenizer]") {
  const auto refused = [](const std::string& json, const std::string& part) {
    CHECK_THROWS_WITH(model_tokens(json, "a"), Contains(part));
  };
  refused(R"({"type":"BPF","vocab":{},"merges":[]})", "'BPF'");
  refused(R"({"type":"BPE","vocab":{"a":-1},"merges":[]})", "$.vocab[\"a\"]");
  refused(R"({"type":"BPE","vocab":{"a":0},"merges":["a b"]})", "$.merges[0]");
  refused(R"({"type":"BPE","vocab":{"a":0},"merges":["ab"]})", "expected two tokens");
  refused(R"({"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"})", "$.unk_token");
  refused(R"({"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1})", "for training");
  refused(R"({"type":"Unigram","vocab":[["a"]],"unk_id":0})", "$.vocab[0]");
  refused(R"({"type":"Unigram","vocab":[["a",0]],"unk_id":1})", "$.unk_id");
  refused(R"({"type":"WordPiece","vocab":{"a":0}})", "[UNK]");
}
