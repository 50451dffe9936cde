#include <ATen/ATen.h>

#include "harness/calibration/internal/examples.h"
#include "harness/core/error.h"

namespace assay {
namespace {

/// What an image counts as, so that a batch is of a size that suits processors.
constexpr int64_t kTokensPerImage = 64;

class PlainExamples final : public CalibrationExamples {
 public:
  PlainExamples(at::Tensor inputs, at::Tensor targets)
      : inputs_(std::move(inputs)), targets_(std::move(targets)) {}

  int64_t size() const override { return inputs_.size(0); }
  ModelBatch batch(std::span<const int64_t> places) const override {
    return {inputs_.index_select(0, indices(places))};
  }
  at::Tensor targets(std::span<const int64_t> places) const override {
    return targets_.index_select(0, indices(places));
  }
  int64_t tokens(int64_t) const override { return kTokensPerImage; }
  ExampleLength length(int64_t) const override { return {}; }  // nothing is padded
  int64_t bytes() const override {
    return static_cast<int64_t>(inputs_.nbytes() + targets_.nbytes());
  }

 private:
  static at::Tensor indices(std::span<const int64_t> places) {
    return at::tensor(at::ArrayRef<int64_t>(places.data(), places.size()), at::kLong);
  }

  at::Tensor inputs_, targets_;
};

}  // namespace

std::unique_ptr<const CalibrationExamples> plain_examples(
    const std::vector<std::shared_ptr<const Task>>& tasks, const CalibrationSpec& spec,
    const std::vector<DrawnExample>& drawn) {
  // Tasks one after the other, so that the images of one only are in memory.
  const auto count = static_cast<int64_t>(drawn.size());
  at::Tensor inputs, targets = at::empty({count}, at::kLong);
  for (size_t task = 0; task < tasks.size(); ++task) {
    std::vector<int64_t> items, places;
    for (size_t i = 0; i < drawn.size(); ++i)
      if (drawn[i].task == task) {
        items.push_back(drawn[i].item);
        places.push_back(static_cast<int64_t>(i));
      }
    if (items.empty()) continue;
    const Examples all = tasks[task]->examples(spec.split);
    if (!inputs.defined()) {
      std::vector<int64_t> shape = all.inputs.sizes().vec();
      shape.front() = count;
      inputs = at::empty(shape, all.inputs.options());
    }
    if (all.inputs.sizes().slice(1) != inputs.sizes().slice(1))
      user_error("the inputs of '{}' have the shape {}, those of '{}' {}", tasks.front()->name(),
                 shape_text(inputs.sizes().slice(1)), tasks[task]->name(),
                 shape_text(all.inputs.sizes().slice(1)));
    const at::Tensor from = at::tensor(items, at::kLong), to = at::tensor(places, at::kLong);
    inputs.index_copy_(0, to, all.inputs.index_select(0, from));
    targets.index_copy_(0, to, all.targets.index_select(0, from));
  }
  return std::make_unique<PlainExamples>(std::move(inputs), std::move(targets));
}

}  // namespace assay
