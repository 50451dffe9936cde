#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("bytes that are not UTF-8 become one U+FFFD per maximal subpart", "[tokenizer]") {
  CHECK(valid_utf8("caf\xC3\xA9") == "caf\u00E9");
  CHECK(valid_utf8("a\xFFz") == "a\uFFFDz");
  CHECK(valid_utf8("\xE2\x82z") == "\uFFFDz");                // the start of a three-byte one
  CHECK(valid_utf8("\xE2\x82") == "\uFFFD");                  // ... at the end of the text
  CHECK(valid_utf8("\xC0\x80") == "\uFFFD\uFFFD");            // overlong
  CHECK(valid_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(valid_utf8("\xF0\x9F\x98\x80") == "\U0001F600");
}

TEST_CASE("characters and their positions", "[tokenizer]") {
  const std::string text = "a\u00E9\u20AC\U0001F600";
  std::vector<char32_t> chars;
  std::string again;
  for (size_t i = 0; i < text.size();) {
    chars.push_back(next_char(text, i));
    append_utf8(again, chars.back());
  }
  CHECK((chars == std::vector<char32_t>{'a', 0xE9, 0x20AC, 0x1F600}));
  CHECK(again == text);
  CHECK(previous_char(text, text.size()) == 6);
  CHECK(previous_char(text, 3) == 1);
}

TEST_CASE("normal forms", "[tokenizer]") {
  CHECK(normalized(R"({"type":"NFC"})", "e\u0301") == "\u00E9");
  CHECK(normalized(R"({"type":"NFD"})", "\u00E9") == "e\u0301");
  CHECK(normalized(R"({"type":"NFKC"})", "\uFB01 \u00BD") == "fi 1\u20442");
  CHECK(normalized(R"({"type":"NFKD"})", "\uFF21\u00E9") == "Ae\u0301");
}

TEST_CASE("lower case is applied character by character", "[tokenizer]") {
  CHECK(normalized(R"({"type":"Lowercase"})", "ABC \u00C9 \u03A3\u039F\u03A3") ==
        "abc \u00E9 \u03C3\u03BF\u03C3");
  CHECK(normalized(R"({"type":"Lowercase"})", "\u0130") == "i\u0307");
}

TEST_CASE("accents are stripped only where they are separate marks", "[tokenizer]") {
  CHECK(normalized(R"({"type":"StripAccents"})", "e\u0301\u00E9") == "e\u00E9");
  CHECK(normalized(R"({"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]})",
                   "\u00E9t\u00E9") == "ete");
}

TEST_CASE("white space is stripped on the given sides", "[tokenizer]") {
  CHECK(normalized(R"({"type":"Strip","strip_left":true,"strip_right":true})", " \u3000 a b\n") ==
        "a b");
  CHECK(normalized(R"({"type":"Strip","strip_left":false,"strip_right":true})", " a ") == " a");
  CHECK(normalized(R"({"type":"Strip","strip_left":true,"strip_right":false})", "   ").empty());
}

TEST_CASE("texts are prepended and replaced", "[tokenizer]") {
  CHECK(normalized(R"({"type":"Prepend","prepend":"_"})", "a") == "_a");
  CHECK(normalized(R"({"type":"Prepend","prepend":"_"})", "").empty());
  CHECK(normalized(R"({"type":"Replace","pattern":{"String":" "},"content":"__"})", " a b") ==
        "__a__b");
  CHECK(normalized(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})", "a   b c") ==
        "a b c");
}

TEST_CASE("BERT's normalizer", "[tokenizer]") {
  const auto bert = [](const std::string& strip, const std::string& lower,
                       const std::string& text) {
    return normalized(R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
                      R"("strip_accents":)" +
                          strip + R"(,"lowercase":)" + lower + "}",
                      text);
  };
  CHECK(bert("null", "true", "\u00C9t\u00E9") == "ete");
  CHECK(bert("null", "false", "\u00C9t\u00E9") == "\u00C9t\u00E9");
  CHECK(bert("false", "true", "\u00C9t\u00E9") == "\u00E9t\u00E9");
  CHECK(bert("null", "true", "a\tb\u00A0c\x01\u200Ed\uFFFD") == "a b cd");
  CHECK(bert("null", "true", "a\u4EBAb") == "a \u4EBA b");
}

TEST_CASE("control characters are removed and unusual white space becomes a space", "[tokenizer]") {
  CHECK(normalized(R"({"type":"Nmt"})", "a\x01\tb\u200Bc\u2028") == "a b c ");
}

TEST_CASE("every byte gets a character", "[tokenizer]") {
  CHECK(normalized(R"({"type":"ByteLevel"})", "a \n\u00E9") == "a\u0120\u010A\u00C3\u00A9");
}

TEST_CASE("a precompiled table replaces its entries", "[tokenizer]") {
  // A trie whose only entry is "A": the root's children are at 1 ^ 'A' = 64; the value 0 is the
  // offset of the text "bc".
  std::vector<uint32_t> units(68, 0);
  units[0] = 1u << 10;
  units[64] = 2u << 10 | 1u << 8 | 'A';
  units[64 ^ 2] = 0x80000000u;
  std::string table;
  const auto put = [&](uint32_t unit) {
    for (int shift = 0; shift < 32; shift += 8) table += static_cast<char>(unit >> shift & 0xFF);
  };
  put(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) put(unit);
  table += std::string("bc\0", 3);
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (size_t i = 0; i < table.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < table.size() ? static_cast<unsigned char>(table[i + k]) : 0u);
    for (int shift = 18; shift >= 0; shift -= 6) base64 += kDigits[bits >> shift & 63];
  }
  const std::string json = R"({"type":"Precompiled","precompiled_charsmap":")" + base64 + "\"}";
  CHECK(normalized(json, "xAyAA") == "xbcybcbc");
  // A letter with its accent is looked up as one cluster, and found by its prefix.
  CHECK(normalized(json, "A\u0301z") == "bcz");
  CHECK_THROWS_WITH(normalized(R"({"type":"Precompiled","precompiled_charsmap":"/////w=="})", "a"),
                    Contains("as many units"));
}

TEST_CASE("unknown normalizers are rejected with the known ones", "[tokenizer]") {
  CHECK_THROWS_WITH(normalized(R"({"type":"NFKS"})", ""),
                    Contains("$") && Contains("'NFKS'") && Contains("'NFK"));
  CHECK_THROWS_WITH(normalized(R"({"type":"Strip","strip_rigth":true})", ""),
                    Contains("strip_rigth"));
  CHECK_THROWS_WITH(normalized(R"({"type":"Sequence","normalizers":[{"type":"NFC"},{}]})", ""),
                    Contains("$.normalizers[1]"));
}
