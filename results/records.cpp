#include "results/records.h"

#include <array>
#include <utility>
#include <vector>

#include "harness/core/error.h"

namespace assay {
namespace {

template <typename Value, size_t kCount>
using Names = std::array<std::pair<Value, const char*>, kCount>;

constexpr Names<RunStatus, 3> kStatuses{
    {{RunStatus::kOk, "ok"}, {RunStatus::kSkipped, "skipped"}, {RunStatus::kFailed, "failed"}}};

constexpr Names<RunKind, 7> kKinds{{{RunKind::kMerge, "merge"},
                                    {RunKind::kBase, "base"},
                                    {RunKind::kExpert, "expert"},
                                    {RunKind::kMultitask, "multitask"},
                                    {RunKind::kEnsemble, "ensemble"},
                                    {RunKind::kOracle, "oracle"},
                                    {RunKind::kModel, "model"}}};

template <typename Value, size_t kCount>
std::string name_in(const Names<Value, kCount>& names, Value value) {
  for (const auto& [candidate, name] : names)
    if (candidate == value) return name;
  ASSAY_CHECK(false, "a value without a name");
}

template <typename Value, size_t kCount>
Value value_in(const Names<Value, kCount>& names, const std::string& name, const char* what) {
  std::vector<std::string> known;
  for (const auto& [value, candidate] : names) {
    if (candidate == name) return value;
    known.emplace_back(candidate);
  }
  throw DataError(unknown_name(what, name, "a run", known));
}

}  // namespace

std::string run_status_name(RunStatus status) { return name_in(kStatuses, status); }

RunStatus run_status_from_name(const std::string& name) {
  return value_in(kStatuses, name, "status");
}

std::string run_kind_name(RunKind kind) { return name_in(kKinds, kind); }

RunKind run_kind_from_name(const std::string& name) { return value_in(kKinds, name, "kind"); }

}  // namespace assay
