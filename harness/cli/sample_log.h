/// What a model was asked and what it answered, item by item.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/task/task.h"
#include "results/records.h"

namespace assay::cli {

/// An item's prompt, continuations and right answer.
Json requests_to_json(const ItemRequests& item);

class SampleLog {
 public:
  void add(const Task& task, const TextResponses& answers) { answers_[task.name()] = answers; }

  /// JSON lines, one per item of every task that has a score. Encoders' answers are no texts: of
  /// them only the texts read and the metrics are there. Metrics that are no means of items are
  /// not.
  std::string lines(const std::vector<std::shared_ptr<const Task>>& tasks, Split split,
                    const std::vector<ScoreRecord>& scores) const;

 private:
  std::map<std::string, TextResponses> answers_;  // by task
};

}  // namespace assay::cli
