/// Python's re.sub, as lm-evaluation-harness adds it to its templates.
#pragma once

#include <cstdint>
#include <string>

namespace assay::jinja {

/// Replaces matches of `pattern` by `replacement`, in which \1 is a group. `count` 0: all; 1: the
/// first. DataError when the pattern is no regular expression of PCRE2, or takes too many steps.
std::string regex_replaced(const std::string& text, const std::string& pattern,
                           const std::string& replacement, int64_t count);

}  // namespace assay::jinja
