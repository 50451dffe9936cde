/// Log of requests and answers per item.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/task/task.h"
#include "results/records.h"

namespace assay::cli {

/// An item's prompt, continuations and correct answer.
Json requests_to_json(const ItemRequests& item);

class SampleLog {
 public:
  void add(const Task& task, const TextResponses& answers) { answers_[task.name()] = answers; }

  /// JSON Lines, one per item of every task that has a score. For encoders only input texts and
  /// metrics, as their answers are not text. Metrics that are not means of items are omitted.
  std::string lines(const std::vector<std::shared_ptr<const Task>>& tasks, Split split,
                    const std::vector<ScoreRecord>& scores) const;

 private:
  std::map<std::string, TextResponses> answers_;  // by task
};

}  // namespace assay::cli
