#include "harness/core/error.h"
#include "harness/tokenizer/unicode/regex.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

Texts split(const std::string& behavior, bool invert, const std::string& text) {
  return pre_tokens_of(R"({"type":"Split","pattern":{"String":"-"},"behavior":")" + behavior +
                           R"(","invert":)" + (invert ? "true" : "false") + "}",
                       text);
}

}  // namespace

TEST_CASE("split behaviours", "[tokenizer]") {
  const std::string text = "the-final--countdown";  // the library's own example
  CHECK(split("Removed", false, text) == Texts{"the", "final", "countdown"});
  CHECK(split("Isolated", false, text) == Texts{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split("MergedWithPrevious", false, text) == Texts{"the-", "final-", "-", "countdown"});
  CHECK(split("MergedWithNext", false, text) == Texts{"the", "-final", "-", "-countdown"});
  CHECK(split("Contiguous", false, text) == Texts{"the", "-", "final", "--", "countdown"});
  CHECK(split("Removed", true, text) == Texts{"-", "-", "-"});
  CHECK_THROWS_WITH(split("Remove", false, text), Contains("'Removed'"));
}

TEST_CASE("byte-level words", "[tokenizer]") {
  const std::string plain = R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true})";
  CHECK(pre_tokens_of(plain, "I'll pay 12 \u20AC!  \n") ==
        Texts{"I", "'ll", "\u0120pay", "\u012012", "\u0120\u00E2\u0124\u00AC!",
              "\u0120\u0120\u010A"});
  CHECK(pre_tokens_of(plain, "a  b") == Texts{"a", "\u0120", "\u0120b"});
  CHECK(pre_tokens_of(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":false})", "a b") ==
        Texts{"\u0120a\u0120b"});
}

TEST_CASE("words, white space and punctuation", "[tokenizer]") {
  CHECK(pre_tokens_of(R"({"type":"Whitespace"})", "Hi, you_2 \u00E9t\u00E9!?") ==
        Texts{"Hi", ",", "you_2", "\u00E9t\u00E9", "!?"});
  CHECK(pre_tokens_of(R"({"type":"WhitespaceSplit"})", " Hi, \u3000you\n") == Texts{"Hi,", "you"});
  CHECK(pre_tokens_of(R"({"type":"BertPreTokenizer"})", "Hi, you$\u2019re") ==
        Texts{"Hi", ",", "you", "$", "\u2019", "re"});
  CHECK(pre_tokens_of(R"({"type":"Punctuation"})", "a,b") == Texts{"a", ",", "b"});
  CHECK(pre_tokens_of(R"({"type":"Punctuation","behavior":"Removed"})", "a,b") == Texts{"a", "b"});
  CHECK(pre_tokens_of(R"({"type":"CharDelimiterSplit","delimiter":"\u00B7"})", "a\u00B7b") ==
        Texts{"a", "b"});
  CHECK(pre_tokens_of(R"({"type":"FixedLength","length":2})", "a\u00E9bcd") ==
        Texts{"a\u00E9", "bc", "d"});
}

TEST_CASE("digits", "[tokenizer]") {
  CHECK(pre_tokens_of(R"({"type":"Digits","individual_digits":false})", "ab123c") ==
        Texts{"ab", "123", "c"});
  CHECK(pre_tokens_of(R"({"type":"Digits","individual_digits":true})", "a12\u0663") ==
        Texts{"a", "1", "2", "\u0663"});
}

TEST_CASE("spaces as visible symbols", "[tokenizer]") {
  const auto metaspace = [](const std::string& more, const std::string& text, bool at_start) {
    return pre_tokens_of(R"({"type":"Metaspace","replacement":"_")" + more + "}", text, at_start);
  };
  CHECK(metaspace("", "a bc", false) == Texts{"_a", "_bc"});
  CHECK(metaspace("", " a", false) == Texts{"_a"});
  CHECK(metaspace(R"(,"prepend_scheme":"first")", "a b", true) == Texts{"_a", "_b"});
  CHECK(metaspace(R"(,"prepend_scheme":"first")", "a b", false) == Texts{"a", "_b"});
  CHECK(metaspace(R"(,"prepend_scheme":"never","split":false)", "a b", true) == Texts{"a_b"});
  CHECK(metaspace(R"(,"add_prefix_space":false)", "a b", true) == Texts{"a", "_b"});
  CHECK_THROWS_WITH(metaspace(R"(,"prepend_scheme":"last")", "", true), Contains("first"));
}

TEST_CASE("only the first pre-token of the input is at its start", "[tokenizer]") {
  CHECK(pre_tokens_of(R"({"type":"Sequence","pretokenizers":[
          {"type":"Split","pattern":{"String":"-"},"behavior":"Removed","invert":false},
          {"type":"Metaspace","replacement":"_","prepend_scheme":"first"}]})",
                      "a-b") == Texts{"_a", "b"});
}

TEST_CASE("Oniguruma's patterns translated to PCRE2", "[tokenizer]") {
  const auto matches = [](const std::string& pattern, const std::string& text) {
    Texts out;
    Regex(pattern, "here").each(text, [&](size_t begin, size_t end) {
      out.push_back(text.substr(begin, end - begin));
    });
    return out;
  };
  CHECK(matches(R"(\s)", "a\u180E\u0085\u3000") == Texts{"\u0085", "\u3000"});
  CHECK(matches(R"([^\s]+)", "a\u180E b") == Texts{"a\u180E", "b"});
  CHECK(matches(R"([^\S\n]+)", "a \n\tb\u180E") == Texts{" ", "\t"});
  CHECK(matches(R"(\w+)", "\u0915\u094D\u0937!x_1") == Texts{"\u0915\u094D\u0937", "x_1"});
  CHECK(matches(R"(\s+$)", "a \nb ") == Texts{" ", " "});  // at the end of every line
  CHECK(matches(R"(\p{N}{1,3})", "12345") == Texts{"123", "45"});
  CHECK(matches("(?i:'s|'t)", "it'S") == Texts{"'S"});
  CHECK(matches("x*", "axb") == Texts{"", "x", ""});
  CHECK_THROWS_WITH(Regex("a(", "file: $.x"), Contains("file: $.x") && Contains("byte 2"));
  CHECK_THROWS_WITH(Regex("[a&&b]", "here"), Contains("intersections"));
  CHECK_THROWS_WITH(Regex("[a[b]]", "here"), Contains("inside another"));
}
