#include <utf8proc.h>

#include <cstdlib>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/unicode/unicode_forms.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

struct FormNormalizer : Normalizer {
  explicit FormNormalizer(UnicodeForm wanted) : form(wanted) {}
  void apply(NormalText& text) const override {
    if (!is_ascii(text.text)) text.text = unicode_form(text.text, form);
  }
  UnicodeForm form;
};

struct LowercaseNormalizer : Normalizer {
  void apply(NormalText& text) const override { text.text = lower_case(text.text); }
};

struct StripAccentsNormalizer : Normalizer {
  void apply(NormalText& text) const override {
    if (is_ascii(text.text)) return;
    std::string out;
    for (size_t i = 0; i < text.text.size();) {
      const size_t begin = i;
      const bool drop = is_mark(next_char(text.text, i));
      if (!drop) out.append(text.text, begin, i - begin);
      if (drop && begin == 0) text.at_start = false;
    }
    text.text = std::move(out);
  }
};

}  // namespace

std::string unicode_form(std::string_view text, UnicodeForm form) {
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  const auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
      (compatible ? UTF8PROC_COMPAT : 0));
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  ASSAY_CHECK(size >= 0, "utf8proc: {}", utf8proc_errmsg(size));
  std::string out(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
  std::free(result);
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (const char c = text[i]; static_cast<unsigned char>(c) < 0x80) {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      ++i;
      continue;
    }
    const char32_t c = next_char(text, i);
    if (c == U'\u0130')  // the only character whose lower case is two characters
      out += "i\u0307";
    else
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return out;
}

std::unique_ptr<Normalizer> make_nfc(JsonReader&) {
  return std::make_unique<FormNormalizer>(UnicodeForm::kNfc);
}
std::unique_ptr<Normalizer> make_nfd(JsonReader&) {
  return std::make_unique<FormNormalizer>(UnicodeForm::kNfd);
}
std::unique_ptr<Normalizer> make_nfkc(JsonReader&) {
  return std::make_unique<FormNormalizer>(UnicodeForm::kNfkc);
}
std::unique_ptr<Normalizer> make_nfkd(JsonReader&) {
  return std::make_unique<FormNormalizer>(UnicodeForm::kNfkd);
}
std::unique_ptr<Normalizer> make_lowercase(JsonReader&) {
  return std::make_unique<LowercaseNormalizer>();
}
std::unique_ptr<Normalizer> make_strip_accents(JsonReader&) {
  return std::make_unique<StripAccentsNormalizer>();
}

}  // namespace assay
