/// The examples of one kind of model, in their final order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/lm/encoded_texts.h"

namespace assay {

class CalibrationExamples {
 public:
  virtual ~CalibrationExamples() = default;
  virtual int64_t size() const = 0;
  /// The examples at these places, in this order.
  virtual ModelBatch batch(std::span<const int64_t> places) const = 0;
  virtual at::Tensor targets(std::span<const int64_t> places) const = 0;
  /// Tokens that the example takes in a batch.
  virtual int64_t tokens(int64_t index) const = 0;
  virtual ExampleLength length(int64_t index) const = 0;
  virtual int64_t bytes() const = 0;
};

struct DrawnExample {
  size_t task;   ///< index of its task
  int64_t item;  ///< index in the task's split
};

/// Of models whose inputs are tensors, such as images.
std::unique_ptr<const CalibrationExamples> plain_examples(
    const std::vector<std::shared_ptr<const Task>>& tasks, const CalibrationSpec& spec,
    const std::vector<DrawnExample>& drawn);
/// Of models of text. Adds to `notes` how many texts were cut.
std::unique_ptr<const CalibrationExamples> text_examples(
    const Computation& model, const std::vector<std::shared_ptr<const Task>>& tasks,
    const CalibrationSpec& spec, const std::vector<DrawnExample>& drawn,
    const std::shared_ptr<TokenCache>& tokens, std::vector<std::string>& notes);
/// Of decoders: texts as they are, with BOS before them where the tokenizer has one. UserError on
/// texts that the model cannot read.
std::unique_ptr<const CalibrationExamples> prompt_examples(const Computation& model,
                                                           const std::vector<std::string>& prompts);

}  // namespace assay
