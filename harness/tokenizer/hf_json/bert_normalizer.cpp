#include "harness/tokenizer/hf_json/normalizer.h"
#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/unicode/unicode_forms.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

struct BertNormalizer : Normalizer {
  bool clean = true, set_ideographs_apart = true, strip_accents = true, lowercase = true;

  void apply(NormalText& text) const override {
    std::string out;
    out.reserve(text.text.size());
    for (size_t i = 0; i < text.text.size();) {
      const size_t begin = i;
      const char32_t c = next_char(text.text, i);
      const bool line_or_tab = c == '\t' || c == '\n' || c == '\r';
      if (clean && !line_or_tab && (c == 0 || c == 0xFFFD || is_other(c))) {
        if (begin == 0) text.at_start = false;
      } else if (clean && is_white_space(c)) {
        out += ' ';
      } else if (set_ideographs_apart && is_cjk(c)) {
        out += ' ';
        out.append(text.text, begin, i - begin);
        out += ' ';
      } else {
        out.append(text.text, begin, i - begin);
      }
    }
    if (strip_accents && !is_ascii(out)) out = without_nonspacing(out);
    text.text = lowercase ? lower_case(out) : std::move(out);
  }

  static std::string without_nonspacing(const std::string& text) {
    const std::string apart = unicode_form(text, UnicodeForm::kNfd);
    std::string out;
    for (size_t i = 0; i < apart.size();) {
      const size_t begin = i;
      if (!is_nonspacing(next_char(apart, i))) out.append(apart, begin, i - begin);
    }
    return out;
  }
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(JsonReader& json) {
  auto bert = std::make_unique<BertNormalizer>();
  bert->clean = json.boolean("clean_text", true);
  bert->set_ideographs_apart = json.boolean("handle_chinese_chars", true);
  bert->lowercase = json.boolean("lowercase", true);
  const auto strip = present(json, "strip_accents");
  bert->strip_accents = strip ? strip->as_bool() : bert->lowercase;
  return bert;
}

}  // namespace assay
