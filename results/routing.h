/// What the routers of mixtures and of routed ensembles decided, as it is stored with a run and
/// reported.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace assay {

/// How often each expert was chosen for a token, by router: its weight's name. Of a routed ensemble
/// how often each member was chosen for a prompt, of kSequenceRouter.
using RouterDecisions = std::map<std::string, std::vector<int64_t>>;
/// The same of each task.
using TaskRouting = std::map<std::string, RouterDecisions>;

inline constexpr const char* kSequenceRouter = "sequences";

/// The key of TaskRouting in RunRecord::diagnostics.
inline constexpr const char* kRouting = "routing";

/// The key there of the checkpoints that a routed ensemble's members are: their hashes, in order.
/// Absent where these are not known.
inline constexpr const char* kMembers = "members";

}  // namespace assay
