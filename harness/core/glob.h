/// Names that are chosen by shell patterns.
#pragma once

#include <string>
#include <vector>

namespace assay {

/// Whether a glob matches all of a name: '*' stands for any characters, dots and slashes included,
/// '?' for one, "[ab]" for one of those named; a backslash takes the next character as it is.
bool matches_glob(const std::string& glob, const std::string& name);

/// Whether one of the globs matches; false where there is none.
bool matches_any(const std::vector<std::string>& globs, const std::string& name);

}  // namespace assay
