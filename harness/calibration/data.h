/// Calibration data: examples of an expert's own tasks, as batches for its network.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/lm/token_cache.h"
#include "harness/model/batch.h"
#include "harness/model/open.h"
#include "harness/task/task.h"

namespace assay {

/// Which examples of its tasks an expert is calibrated on.
struct CalibrationSpec {
  Split split = Split::kValidation;
  int64_t examples = 256;    ///< per expert; all that there are, where there are fewer
  uint64_t seed = 0;         ///< of the random order
  int64_t max_tokens = 512;  ///< longer texts are cut at the beginning

  bool operator==(const CalibrationSpec&) const = default;
};

/// {"split": "validation", "examples": 256, "seed": 0, "max_tokens": 512}.
Json calibration_json(const CalibrationSpec& spec);
/// From an object with any of these keys; the others are as in `defaults`. UserError on other keys
/// and on values that are not allowed.
CalibrationSpec read_calibration(JsonReader json, const CalibrationSpec& defaults = {});

class CalibrationExamples;

/// The examples of one expert. Each task's are in a random order, a function of the seed, the task
/// and the split; the tasks take turns until there are enough. The first n examples are therefore
/// those of a smaller spec, and batches of any size hold the same ones.
class CalibrationData {
 public:
  /// Reads and tokenizes the examples. UserError when a task cannot be run with the model, when it
  /// has no data for the split, or when there is no task; DataError as Task::examples().
  CalibrationData(const Computation& model, const std::vector<std::shared_ptr<const Task>>& tasks,
                  const CalibrationSpec& spec,
                  const std::shared_ptr<TokenCache>& tokens = std::make_shared<TokenCache>());
  /// Prompts in place of tasks, in their order. UserError where there is none, or the model cannot
  /// read one.
  CalibrationData(const Computation& model, const std::vector<std::string>& prompts);
  ~CalibrationData();
  CalibrationData(CalibrationData&&) noexcept;
  CalibrationData& operator=(CalibrationData&&) noexcept;

  int64_t size() const;
  /// Examples [first, first + count), on the CPU, padded to the longest.
  ModelBatch batch(int64_t first, int64_t count) const;
  /// The same of examples at these places.
  ModelBatch batch(std::span<const int64_t> places) const;
  /// The places of examples [first, first + count), divided so that little of the batches is
  /// padding (micro_batches()).
  std::vector<std::vector<int64_t>> by_length(int64_t first, int64_t count) const;
  /// The true class of every row of scores that row_logits() gives for that batch, int64 [rows].
  /// UserError where a task has no true answers.
  at::Tensor targets(int64_t first, int64_t count) const;
  /// The largest n for which examples [first, first + n) take at most `tokens` tokens with their
  /// padding; at least 1. An image counts as 64 tokens.
  int64_t fitting(int64_t first, int64_t tokens) const;
  /// What the user should know, a line each: fewer examples than asked for, texts that were cut.
  const std::vector<std::string>& notes() const { return notes_; }
  int64_t bytes() const;

 private:
  std::unique_ptr<const CalibrationExamples> examples_;
  std::vector<std::string> notes_;
};

/// The batch on a device.
ModelBatch moved(const ModelBatch& batch, at::Device device);

}  // namespace assay
