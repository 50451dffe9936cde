#define PCRE2_CODE_UNIT_WIDTH 8
#include "harness/checkpoint/internal/layer_pattern.h"

#include <pcre2.h>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr uint32_t kMaxSteps = 1'000'000, kMaxHeapKib = 16 << 10;
constexpr size_t kMaxBytes = 64 << 10;

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

LayerPattern::LayerPattern(const std::string& pattern, std::string where)
    : where_(std::move(where)) {
  if (pattern.size() > kMaxBytes)
    user_error("{}: a pattern of {} bytes; at most {} are read", where_, pattern.size(), kMaxBytes);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C,
                    &error, &offset, nullptr);
  if (!code)
    user_error("{}: '{}' is not a regular expression: {} at byte {}", where_, pattern,
               message(error), offset);
  code_ = std::shared_ptr<const void>(code, [code](const void*) { pcre2_code_free(code); });
}

bool LayerPattern::matches(std::string_view name) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> found(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> limits(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(limits.get(), kMaxSteps);
  pcre2_set_heap_limit(limits.get(), kMaxHeapKib);
  const int matched = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0,
                                  0, found.get(), limits.get());
  if (matched == PCRE2_ERROR_NOMATCH) return false;
  if (matched < 0) user_error("{}: matching '{}' failed: {}", where_, name, message(matched));
  return true;
}

}  // namespace assay
