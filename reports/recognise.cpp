#include "reports/recognise.h"

#include <initializer_list>

namespace assay {
namespace {

// Whether the text contains the parts in this order.
bool holds(std::string_view text, std::initializer_list<std::string_view> parts) {
  size_t at = 0;
  for (const std::string_view part : parts) {
    at = text.find(part, at);
    if (at == std::string_view::npos) return false;
    at += part.size();
  }
  return true;
}

}  // namespace

bool is_report(std::string_view text) {
  if (text.starts_with("<!doctype html>"))
    return holds(text, {"<title>", " · Assay</title>", "Assay · model merging benchmark"});
  if (text.starts_with("{")) return holds(text, {"\"format\": \"assay-report\""});
  if (text.starts_with("row,variant,kind,method,preset,metric,")) return true;
  return text.starts_with("# ") && holds(text, {" method rows · ", "\n## Scores by task\n",
                                                "\n## Provenance\n", "\n## How to read this\n"});
}

}  // namespace assay
