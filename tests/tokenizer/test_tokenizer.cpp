#include "harness/tokenizer/tokenizer.h"

#include <thread>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Single letters, a space, and the tokens and stages given.
std::string letters(const std::string& more) {
  std::string vocab;
  for (char c = 'a'; c <= 'z'; ++c) vocab += fmt::format("\"{}\":{},", c, c - 'a');
  return R"({"version":"1.0","truncation":null,"padding":null,"model":{"type":"BPE","vocab":{)" +
         vocab + R"(" ":26,"A":27},"merges":[]},"decoder":{"type":"Fuse"})" + more + "}";
}

std::string added(const std::string& content, const std::string& flags) {
  return R"(,"added_tokens":[{"id":100,"content":")" + content + "\"" + flags + "}]";
}

TokenIds ids_of(const std::string& json, const std::string& text) {
  return TokenizerFolder({{"tokenizer.json", json}}).open()->encode(text, false);
}

}  // namespace

TEST_CASE("added tokens are matched first", "[tokenizer]") {
  CHECK(ids_of(letters(added("<x>", R"(,"special":true)")), "a<x>b") == TokenIds{0, 100, 1});
  CHECK(ids_of(letters(added("ab", R"(,"special":true)")), "cabc") == TokenIds{2, 100, 2});
  CHECK(ids_of(letters(added("ab", R"(,"single_word":true)")), "ab cab ab") ==
        TokenIds{100, 26, 2, 0, 1, 26, 100});
  CHECK(ids_of(letters(added("<x>", R"(,"lstrip":true,"normalized":false)")), "a  <x> b") ==
        TokenIds{0, 100, 26, 1});
  CHECK(ids_of(letters(added("<x>", R"(,"rstrip":true,"normalized":false)")), "a <x>  b") ==
        TokenIds{0, 26, 100, 1});
}

TEST_CASE("of added tokens the longest match is chosen", "[tokenizer]") {
  const std::string two = R"(,"added_tokens":[{"id":100,"content":"ab","special":true},
                                              {"id":101,"content":"abc","special":true}])";
  CHECK(ids_of(letters(two), "abcab") == TokenIds{101, 100});
}

TEST_CASE("normalized tokens are matched in the normalized text", "[tokenizer]") {
  const std::string lower = R"(,"normalizer":{"type":"Lowercase"})";
  CHECK(ids_of(letters(lower + added("XY", R"(,"normalized":true)")), "aXyb") ==
        TokenIds{0, 100, 1});
  CHECK(ids_of(letters(lower + added("XY", R"(,"normalized":false)")), "aXyXYb") ==
        TokenIds{0, 23, 24, 100, 1});
}

TEST_CASE("post-processors add special tokens around a text", "[tokenizer]") {
  const auto with_special = [](const std::string& stage) {
    const TokenizerFolder folder({{"tokenizer.json", letters(",\"post_processor\":" + stage)}});
    CHECK(folder.open()->encode("b", false) == TokenIds{1});
    return folder.open()->encode("b", true);
  };
  CHECK(with_special(R"({"type":"TemplateProcessing","single":[
          {"SpecialToken":{"id":"y","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
          {"SpecialToken":{"id":"z","type_id":0}}],"pair":[],
          "special_tokens":{"y":{"id":"y","ids":[24,23],"tokens":["y","x"]},
                            "z":{"id":"z","ids":[25],"tokens":["z"]}}})") ==
        TokenIds{24, 23, 1, 25});
  CHECK(with_special(R"({"type":"BertProcessing","sep":["z",25],"cls":["y",24]})") ==
        TokenIds{24, 1, 25});
  CHECK(with_special(R"({"type":"RobertaProcessing","sep":["z",25],"cls":["y",24],
                         "trim_offsets":true,"add_prefix_space":true})") == TokenIds{24, 1, 25});
  CHECK(with_special(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
                         {"type":"BertProcessing","sep":["z",25],"cls":["y",24]}]})") ==
        TokenIds{24, 1, 25});
}

TEST_CASE("the post-processor's template is applied to pairs", "[tokenizer]") {
  const auto pair_of = [](const std::string& more, int64_t most) {
    const TokenizerFolder folder({{"tokenizer.json", letters(more)}});
    return folder.open()->encode_pair("bbb", "cc", most);
  };
  const TokenizedInput plain = pair_of("", 9);
  CHECK(plain.ids == TokenIds{1, 1, 1, 2, 2});
  CHECK(plain.types == std::vector<int32_t>{0, 0, 0, 1, 1});
  CHECK(plain.dropped == 0);
  const std::string bert =
      R"(,"post_processor":{"type":"BertProcessing","sep":["z",25],"cls":["y",24]})";
  CHECK(pair_of(bert, 8).ids == TokenIds{24, 1, 1, 1, 25, 2, 2, 25});
  const TokenizedInput truncated = pair_of(bert, 6);  // longest first, then the odd token
  CHECK(truncated.ids == TokenIds{24, 1, 1, 25, 2, 25});
  CHECK(truncated.types == std::vector<int32_t>{0, 0, 0, 0, 1, 1});
  CHECK(truncated.dropped == 2);
  CHECK(pair_of(bert, 3).ids == TokenIds{24, 25, 25});
  CHECK_THROWS_WITH(pair_of(bert, 2), Contains("2 tokens are too few") && Contains("are 3"));

  const std::string single = R"("single":[{"Sequence":{"id":"A","type_id":0}}])";
  const std::string no_pair = R"(,"post_processor":{"type":"TemplateProcessing","pair":[],)" +
                              single + R"(,"special_tokens":{}})";
  CHECK_THROWS_WITH(pair_of(no_pair, 9), Contains("does not define pairs"));
  const std::string half = R"(,"post_processor":{"type":"TemplateProcessing","pair":[
      {"Sequence":{"id":"A","type_id":0}}],)" +
                           single + R"(,"special_tokens":{}})";
  CHECK_THROWS_WITH(pair_of(half, 9), Contains("$.post_processor.pair") && Contains("two texts"));
}

TEST_CASE("one text is truncated at its end", "[tokenizer]") {
  const TokenizerFolder folder(
      {{"tokenizer.json",
        letters(R"(,"post_processor":{"type":"BertProcessing","sep":["z",25],"cls":["y",24]})")}});
  const auto tokenizer = folder.open();
  const TokenizedInput truncated = tokenizer->input_template(false).apply({1, 2, 3, 4}, {}, 5);
  CHECK(truncated.ids == TokenIds{24, 1, 2, 3, 25});
  CHECK(truncated.dropped == 1);
}

TEST_CASE("special tokens are named by the files next to the tokenizer", "[tokenizer]") {
  const std::string json = letters(added("<x>", R"(,"special":true)"));
  const TokenizerFolder folder(
      {{"tokenizer.json", json},
       {"tokenizer_config.json",
        R"({"bos_token":"<x>","eos_token":{"content":"z"},
                                     "pad_token":null,"model_max_length":512})"},
       {"special_tokens_map.json", R"({"bos_token":"a","pad_token":"y","unk_token":"nowhere"})"}});
  const auto tokenizer = folder.open();
  CHECK(tokenizer->bos() == 0);  // the map takes precedence, as there is no added_tokens_decoder
  CHECK(tokenizer->eos() == 25);
  CHECK(tokenizer->pad() == 24);
  CHECK(!tokenizer->unknown());
  CHECK(tokenizer->max_length() == 512);
  CHECK(tokenizer->size() == 101);
  CHECK(tokenizer->id("<x>") == 100);
  CHECK(tokenizer->token(100) == "<x>");
  CHECK(!tokenizer->id("nowhere"));
  CHECK_THROWS_WITH(tokenizer->token(50), Contains("no token with id 50"));
  CHECK(tokenizer->decode({100, 1, 100}, true) == "b");
  CHECK(tokenizer->decode({100, 1}, false) == "<x>b");
  CHECK(tokenizer->decode({}, true).empty());
}

TEST_CASE("flags of the configuration do not change the post-processor of a tokenizer.json",
          "[tokenizer]") {
  const TokenizerFolder folder(
      {{"tokenizer.json",
        letters(R"(,"post_processor":{"type":"BertProcessing","sep":["z",25],"cls":["y",24]})")},
       {"tokenizer_config.json",
        R"({"bos_token":"a","eos_token":"z","add_bos_token":true,"model_max_length":1e30})"}});
  CHECK(folder.open()->encode("b", true) == TokenIds{24, 1, 25});
  CHECK(folder.open()->ends_after_text() == 1);
  CHECK(!folder.open()->max_length());
}

TEST_CASE("tokens of the configuration are added", "[tokenizer]") {
  const TokenizerFolder folder(
      {{"tokenizer.json", letters("")},
       {"tokenizer_config.json",
        R"({"added_tokens_decoder":{"40":{"content":"<y>","lstrip":false,"normalized":false,
            "rstrip":false,"single_word":false,"special":true}}})"}});
  CHECK(folder.open()->encode("a<y>", false) == TokenIds{0, 40});
}

TEST_CASE("the configuration's added tokens take precedence over the tokenizer's", "[tokenizer]") {
  const TokenizerFolder folder({{"tokenizer.json", letters(added("<x>", R"(,"special":true)"))},
                                {"tokenizer_config.json",
                                 R"({"added_tokens_decoder":{"100":{"content":"<x>","lstrip":true,
                                     "special":true}}})"}});
  CHECK(folder.open()->encode("a  <x>", false) == TokenIds{0, 100});
}

TEST_CASE("special tokens come from the class where the files name none", "[tokenizer]") {
  const auto open = [](const std::string& config) {
    return TokenizerFolder({{"tokenizer.json", letters(added("<|endoftext|>", ""))},
                            {"config.json", R"({"model_type":"gpt2"})"},
                            {"tokenizer_config.json", config}})
        .open();
  };
  CHECK(open("{}")->bos() == 100);
  CHECK(open("{}")->eos() == 100);
  CHECK(!open("{}")->pad());
  CHECK(open(R"({"eos_token":"z","bos_token":null})")->eos() == 25);
  CHECK(!open(R"({"eos_token":"z","bos_token":null})")->bos());
}

TEST_CASE("end tokens are read from all files of a model", "[tokenizer]") {
  std::map<std::string, std::string> files{{"tokenizer.json", letters("")},
                                           {"tokenizer_config.json", R"({"eos_token":"z"})"}};
  const auto of_tokenizer = TokenizerFolder(files).open();
  CHECK(of_tokenizer->end_ids() == TokenIds{25});
  files["generation_config.json"] = R"({"eos_token_id":[3,25,4]})";
  files["config.json"] = R"({"eos_token_id":5})";
  const auto of_all = TokenizerFolder(files).open();
  CHECK(of_all->end_ids() == TokenIds{25, 3, 4, 5});
  CHECK(of_all->hash() == of_tokenizer->hash());
  files["generation_config.json"] = R"({"eos_token_id":["z"]})";
  CHECK_THROWS_WITH(TokenizerFolder(files).open(),
                    Contains("generation_config.json: $.eos_token_id[0]"));
}

TEST_CASE("a model with more than 256 tokens gets no byte tokenizer", "[tokenizer]") {
  std::map<std::string, std::string> files{{"config.json", R"({"vocab_size":257})"}};
  CHECK_THROWS_AS(TokenizerFolder(files).open(), DataError);
  CHECK_THROWS_WITH(TokenizerFolder(files).open(),
                    Contains("no tokenizer") && Contains("257") && Contains("ByteTokenizer"));
  files["tokenizer_config.json"] = R"({"tokenizer_class":"ByteTokenizer"})";
  CHECK(TokenizerFolder(files).open()->encode("a", true) == TokenIds{'a'});
  CHECK(TokenizerFolder({{"config.json", R"({"vocab_size":256})"}, {"README.md", ""}})
            .open()
            ->encode("a", true) == TokenIds{'a'});
}

TEST_CASE("a folder without a tokenizer has one token per byte", "[tokenizer]") {
  const TokenizerFolder folder(std::map<std::string, std::string>{{"config.json", "{}"}});
  const auto tokenizer = folder.open();
  CHECK(tokenizer->encode("a\u00E9", true) == TokenIds{'a', 0xC3, 0xA9});
  CHECK(tokenizer->decode({'a', 0xC3, 0xA9, 0xC3}, true) == "a\u00E9\uFFFD");
  CHECK(tokenizer->size() == 256);
  CHECK(!tokenizer->bos());
  CHECK_THROWS_WITH(tokenizer->decode({256}, true), Contains("ids are below 256"));
}

TEST_CASE("a tokenizer of an unsupported kind is not ignored", "[tokenizer]") {
  const TokenizerFolder folder({{"vocab.json", "{}"}, {"merges.txt", ""}});
  CHECK_THROWS_AS(folder.open(), DataError);
  CHECK_THROWS_WITH(folder.open(), Contains("vocab.json") && Contains("tokenizer.json"));
}

TEST_CASE("invalid files are data errors that name the place", "[tokenizer]") {
  const auto refused = [](const std::string& json, const std::string& part) {
    const TokenizerFolder folder({{"tokenizer.json", json}});
    CHECK_THROWS_AS(folder.open(), DataError);
    CHECK_THROWS_WITH(folder.open(), Contains("tokenizer.json") && Contains(part));
  };
  refused("{", "line 1");
  refused("{}", "model");
  refused(letters(R"(,"normalizer":{"type":"NFX"})"), "$.normalizer");
  refused(letters(R"(,"pre_tokenizer":{"type":"Splitt"})"), "'Split'");
  refused(letters(R"(,"post_processor":{"type":"TemplateProcessing","single":[],"pair":[],
                     "special_tokens":{}})"),
          "$.post_processor.single");
  refused(letters(R"(,"added_tokens":[{"content":"a"}])"), "$.added_tokens[0]");
  const TokenizerFolder config(
      {{"tokenizer.json", letters("")}, {"tokenizer_config.json", R"({"bos_token":1})"}});
  CHECK_THROWS_WITH(config.open(), Contains("tokenizer_config.json: $.bos_token"));
  const TokenizerFolder pieces(
      std::map<std::string, std::string>{{"tokenizer.model", "not a model"}});
  CHECK_THROWS_WITH(pieces.open(), Contains("tokenizer.model"));
}

TEST_CASE("the hash distinguishes tokenizers", "[tokenizer]") {
  const auto hash = [](const std::map<std::string, std::string>& files) {
    return TokenizerFolder(files).open()->hash();
  };
  const std::string json = letters("");
  CHECK(hash({{"tokenizer.json", json}}) == hash({{"tokenizer.json", json}}));
  CHECK(hash({{"tokenizer.json", json}}) != hash({{"tokenizer.json", letters(added("x", ""))}}));
  CHECK(hash({{"tokenizer.json", json}}) !=
        hash({{"tokenizer.json", json}, {"tokenizer_config.json", R"({"add_bos_token":true})"}}));
}

TEST_CASE("one tokenizer serves several threads", "[tokenizer]") {
  const fs::path folder = fs::path(ASSAY_TESTS_FOLDER) / "golden/tokenizer";
  const auto tokenizer = Tokenizer::open(folder / "byte_level");
  const auto texts = read_json(folder / "texts.json").get<Texts>();
  std::vector<std::vector<TokenIds>> found(4);
  std::vector<std::thread> threads;
  for (auto& mine : found)
    threads.emplace_back([&] {
      for (const std::string& text : texts) mine.push_back(tokenizer->encode(text, false));
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : found) CHECK(mine == found[0]);
}
