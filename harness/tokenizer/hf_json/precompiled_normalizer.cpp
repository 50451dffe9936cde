#include <utf8proc.h>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/unicode/charsmap.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

/// The end of the grapheme cluster that starts at `begin`.
size_t grapheme_end(const std::string& text, size_t begin) {
  size_t position = begin;
  auto previous = static_cast<utf8proc_int32_t>(next_char(text, position));
  utf8proc_int32_t state = 0;
  while (position < text.size()) {
    size_t after = position;
    const auto c = static_cast<utf8proc_int32_t>(next_char(text, after));
    if (utf8proc_grapheme_break_stateful(previous, c, &state)) break;
    previous = c;
    position = after;
  }
  return position;
}

/// A Charsmap with the rules of tokenizer.json: looks up whole grapheme clusters first, and
/// replaces a cluster by the entry of its shortest known prefix.
struct PrecompiledNormalizer : Normalizer {
  Charsmap map;

  void apply(NormalText& text) const override {
    const std::string& s = text.text;
    std::string out;
    out.reserve(s.size());
    for (size_t begin = 0; begin < s.size();) {
      const size_t end = grapheme_end(s, begin);
      const std::string_view grapheme = std::string_view(s).substr(begin, end - begin);
      constexpr size_t kShort = 6;  // bytes; longer ones are looked up in parts only
      if (const auto whole = grapheme.size() < kShort ? map.shortest(grapheme) : std::nullopt)
        out += whole->with;
      else
        add_in_parts(grapheme, out);
      check_output_bytes(out.size(), text.max_bytes);
      if (begin == 0 && out.empty()) text.at_start = false;
      begin = end;
    }
    text.text = std::move(out);
  }

  void add_in_parts(std::string_view grapheme, std::string& out) const {
    for (size_t i = 0; i < grapheme.size();) {
      const size_t begin = i;
      next_char(grapheme, i);
      const std::string_view c = grapheme.substr(begin, i - begin);
      const auto found = map.shortest(c);
      out += found ? found->with : c;
    }
  }
};

std::string from_base64(const JsonReader& json) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : json.as_string()) {
    if (c == '=') break;
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) json.fail("expected Base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) out += static_cast<char>(bits >> (held -= 8) & 0xFF);
  }
  return out;
}

}  // namespace

std::unique_ptr<Normalizer> make_precompiled(JsonReader& json) {
  auto normalizer = std::make_unique<PrecompiledNormalizer>();
  const JsonReader field = json.at("precompiled_charsmap");
  if (field.json().is_null()) return normalizer;
  const auto map = Charsmap::read(from_base64(field));
  if (!map) field.fail("expected a table with as many units as it states");
  normalizer->map = *map;
  return normalizer;
}

}  // namespace assay
