#include "harness/tokenizer/unicode/pattern.h"

#include "harness/core/error.h"
#include "harness/tokenizer/limits.h"

namespace assay {

TextPattern::TextPattern(JsonReader json) {
  if (const auto regex = json.find("Regex"))
    regex_.emplace(regex->as_string(), regex->where());
  else if (const auto literal = json.find("String"))
    literal_ = literal->as_string();
  else
    json.fail("expected {\"String\": TEXT} or {\"Regex\": PATTERN}");
  if (!regex_ && literal_.empty()) json.fail("expected a text that is not empty");
  json.finish();
}

void TextPattern::each(std::string_view text,
                       const std::function<void(size_t, size_t)>& found) const {
  if (regex_) return regex_->each(text, found);
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size()))
    found(at, at + literal_.size());
}

std::string TextPattern::replace(std::string_view text, std::string_view content,
                                 size_t max_bytes) const {
  std::string out;
  size_t done = 0;
  each(text, [&](size_t begin, size_t end) {
    out.append(text, done, begin - done).append(content);
    check_output_bytes(out.size(), max_bytes);
    done = end;
  });
  return out.append(text, done);
}

}  // namespace assay
