/// What a mixture's routers decided, as it is stored with a run and reported.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace assay {

/// How often each expert was chosen, by router: its weight's name.
using RouterDecisions = std::map<std::string, std::vector<int64_t>>;
/// The same of each task.
using TaskRouting = std::map<std::string, RouterDecisions>;

/// The key of TaskRouting in RunRecord::diagnostics.
inline constexpr const char* kRouting = "routing";

}  // namespace assay
