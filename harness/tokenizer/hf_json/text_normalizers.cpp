#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/unicode/byte_alphabet.h"
#include "harness/tokenizer/unicode/pattern.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

struct StripNormalizer : Normalizer {
  bool left = true, right = true;
  void apply(NormalText& text) const override {
    std::string& s = text.text;
    while (right && !s.empty()) {
      size_t begin = previous_char(s, s.size());
      const size_t size = begin;
      if (!is_white_space(next_char(s, begin))) break;
      s.resize(size);
    }
    size_t drop = 0;
    for (size_t i = 0; left && i < s.size(); drop = i)
      if (!is_white_space(next_char(s, i))) break;
    if (drop > 0) text.at_start = false;
    s.erase(0, drop);
  }
};

struct PrependNormalizer : Normalizer {
  std::string prefix;
  void apply(NormalText& text) const override {
    if (!text.text.empty()) text.text.insert(0, prefix);
  }
};

struct ReplaceNormalizer : Normalizer {
  ReplaceNormalizer(TextPattern what, std::string with)
      : pattern(std::move(what)), content(std::move(with)) {}
  void apply(NormalText& text) const override {
    text.text = pattern.replace(text.text, content, text.max_bytes);
  }
  TextPattern pattern;
  std::string content;
};

/// Nmt: removes control characters and maps many kinds of white space to a space, as for machine
/// translation.
struct NmtNormalizer : Normalizer {
  static bool dropped(char32_t c) {
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
  }
  static bool space(char32_t c) {
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  }
  void apply(NormalText& text) const override {
    std::string out;
    for (size_t i = 0; i < text.text.size();) {
      const size_t begin = i;
      const char32_t c = next_char(text.text, i);
      if (dropped(c)) {
        if (begin == 0) text.at_start = false;
      } else if (space(c)) {
        out += ' ';
      } else {
        out.append(text.text, begin, i - begin);
      }
    }
    text.text = std::move(out);
  }
};

struct ByteLevelNormalizer : Normalizer {
  void apply(NormalText& text) const override { text.text = bytes_to_alphabet(text.text); }
};

}  // namespace

std::unique_ptr<Normalizer> make_strip(JsonReader& json) {
  auto strip = std::make_unique<StripNormalizer>();
  strip->left = json.boolean("strip_left", true);
  strip->right = json.boolean("strip_right", true);
  return strip;
}

std::unique_ptr<Normalizer> make_prepend(JsonReader& json) {
  auto prepend = std::make_unique<PrependNormalizer>();
  prepend->prefix = json.string("prepend");
  return prepend;
}

std::unique_ptr<Normalizer> make_replace(JsonReader& json) {
  return std::make_unique<ReplaceNormalizer>(TextPattern(json.at("pattern")),
                                             json.string("content"));
}

std::unique_ptr<Normalizer> make_nmt(JsonReader&) { return std::make_unique<NmtNormalizer>(); }

std::unique_ptr<Normalizer> make_byte_level_normalizer(JsonReader&) {
  return std::make_unique<ByteLevelNormalizer>();
}

}  // namespace assay
