#include "harness/task/text_template.h"

namespace assay {

TextTemplate::TextTemplate(const JsonReader& text) {
  const std::string source = text.as_string();
  for (size_t begin = 0; begin < source.size();) {
    const size_t open = source.find("{{", begin);
    if (open != begin) parts_.push_back({source.substr(begin, open - begin), false});
    if (open == std::string::npos) break;
    const size_t close = source.find("}}", open);
    if (close == std::string::npos) text.fail("a '{{' has no '}}'");
    std::string field = source.substr(open + 2, close - open - 2);
    field.erase(0, field.find_first_not_of(' '));
    field.erase(field.find_last_not_of(' ') + 1);
    if (field.empty()) text.fail("expected a field's name between '{{' and '}}'");
    parts_.push_back({std::move(field), true});
    begin = close + 2;
  }
}

std::string TextTemplate::fill(const TextItem& item) const {
  std::string text;
  for (const Part& part : parts_) text += part.is_field ? field_text(item, part.text) : part.text;
  return text;
}

std::string TextTemplate::only_field() const {
  return parts_.size() == 1 && parts_.front().is_field ? parts_.front().text : std::string();
}

}  // namespace assay
