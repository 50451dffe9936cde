#include "harness/merge/request/vocabulary.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "harness/checkpoint/model_config.h"

namespace assay {
namespace {

/// How many rows a model gives for a tensor; absent when it has no such vocabulary tensor, of the
/// other dimensions of `like`.
std::optional<int64_t> vocabulary_rows(const TensorInfo& like, const MergeModel& model,
                                       const Adjustments& adjustments) {
  const auto view = adjustments.views.find(like.name);
  const std::string& name = view == adjustments.views.end() ? like.name : view->second.of;
  const TensorInfo* info = model.source->find(name);
  if (!info || info->shape.empty() || info->shape.size() != like.shape.size() ||
      !std::equal(info->shape.begin() + 1, info->shape.end(), like.shape.begin() + 1))
    return std::nullopt;
  const std::vector<int64_t> sizes = vocab_sizes(model.config);
  if (std::find(sizes.begin(), sizes.end(), info->shape.front()) == sizes.end())
    return std::nullopt;
  return info->shape.front();
}

/// How many rows the result has; absent, with a problem reported, when the policy has no answer.
std::optional<int64_t> target_rows(const std::vector<MergeModel>& models, VocabPolicy policy,
                                   const std::vector<std::string>& tensors,
                                   const std::vector<int64_t>& rows,
                                   std::vector<std::string>& problems) {
  std::vector<std::string> sizes;
  for (size_t i = 0; i < rows.size(); ++i)
    sizes.push_back(fmt::format("{} has {}", models[i].source->label(), rows[i]));
  const auto problem = [&](const std::string& what) {
    problems.push_back(fmt::format("vocabularies differ ({}; in {}): {}", fmt::join(sizes, ", "),
                                   fmt::join(tensors, ", "), what));
    return std::nullopt;
  };
  switch (policy) {
    case VocabPolicy::kError:
      return problem(
          "set vocab_policy to truncate_to_base, common_submatrix or mean_fill to merge them");
    case VocabPolicy::kTruncateToBase:
      for (size_t i = 1; i < rows.size(); ++i)
        if (rows[i] < rows.front())
          return problem(
              fmt::format("vocab_policy truncate_to_base needs at "
                          "least the {} rows of {} in every model",
                          rows.front(), models.front().source->label()));
      return rows.front();
    case VocabPolicy::kCommonSubmatrix:
      return *std::min_element(rows.begin(), rows.end());
    case VocabPolicy::kMeanFill:
      if (*std::min_element(rows.begin(), rows.end()) == 0)
        return problem("a vocabulary without rows has no mean");
      return *std::max_element(rows.begin(), rows.end());
  }
  return std::nullopt;
}

}  // namespace

void reconcile_vocabulary(const std::vector<MergeModel>& models, VocabPolicy policy,
                          std::vector<Adjustments>& adjustments, Reconciled& out) {
  const TensorSource& reference = *models.front().source;
  std::vector<std::string> tensors;
  std::vector<int64_t> rows;
  for (const TensorInfo& info : reference.tensors()) {
    if (adjustments.front().left_out.contains(info.name)) continue;
    std::vector<int64_t> found;
    for (size_t i = 0; i < models.size(); ++i)
      if (const auto count = vocabulary_rows(info, models[i], adjustments[i]))
        found.push_back(*count);
    if (found.size() != models.size() ||
        std::adjacent_find(found.begin(), found.end(), std::not_equal_to<>()) == found.end())
      continue;
    tensors.push_back(info.name);
    rows = found;  // the same for all: it is the model's vocab_size
  }
  if (tensors.empty()) return;
  const auto target = target_rows(models, policy, tensors, rows, out.problems);
  if (!target) return;
  out.vocab_size = *target;
  for (size_t i = 0; i < models.size(); ++i) {
    if (rows[i] == *target) continue;
    for (const std::string& name : tensors) {
      Adjustments::View& view = adjustments[i].views[name];
      if (view.of.empty()) view.of = name;
      view.rows = *target;
    }
    const std::string names = fmt::format("{}", fmt::join(tensors, ", "));
    const std::string label = models[i].source->label();
    out.notes.push_back(rows[i] > *target
                            ? fmt::format("{}: the first {} of {} rows are used of {}", label,
                                          *target, rows[i], names)
                            : fmt::format("{}: the mean of its {} rows fills {} up to {}", label,
                                          rows[i], names, *target));
  }
}

}  // namespace assay
