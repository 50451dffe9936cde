/// The task kind "test_blobs": two clouds of points around two corners of a cube in four
/// dimensions, or images of a single colour with these as their channels.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/task/task.h"

namespace assay {
namespace {

class Blobs : public Task {
 public:
  Blobs(const std::string& name, int64_t first, bool broken, int64_t side, const Json& definition)
      : Task(name, hash_text(canonical(definition)), definition),
        first_(first),
        side_(side),
        broken_(broken) {}

  Examples examples(Split split) const override {
    const int64_t n = size(split);
    at::Tensor inputs = at::empty({n, 4}), targets = at::empty({n}, at::kLong);
    Rng rng(static_cast<uint64_t>(first_), split_name(split));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t label = first_ + i % 2;
      targets[i] = label;
      for (int64_t d = 0; d < 4; ++d) inputs[i][d] = (d == label ? 2.0 : 0.0) + 0.3 * rng.normal();
    }
    if (broken_) inputs.fill_(std::numeric_limits<float>::quiet_NaN());
    if (side_ > 0) inputs = inputs.view({n, 4, 1, 1}).expand({n, 4, side_, side_}).contiguous();
    return {inputs, targets};
  }
  std::string primary_metric() const override { return "acc"; }
  int64_t size(Split split) const override { return split == Split::kTrain ? 60 : 20; }

  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const override {
    if (definition().value("unreadable", false)) data_error("its third item is unreadable");
    const Examples items = examples(split);
    const at::Tensor right =
        predictor.logits(items.inputs).argmax(1).eq(items.targets).to(at::kFloat);
    return {
        {"acc", right.mean().item<double>(),
         std::vector<double>(right.data_ptr<float>(), right.data_ptr<float>() + right.numel())}};
  }

 private:
  int64_t first_, side_;
  bool broken_;
};

std::shared_ptr<const Task> make(const std::string& name, JsonReader reader) {
  const int64_t first = reader.integer("first", 0);
  const bool broken = reader.boolean("broken", false);
  const int64_t side = reader.integer("side", 0);
  reader.boolean("unreadable", false);
  reader.finish();
  return std::make_shared<Blobs>(name, first, broken, side, reader.json());
}

ASSAY_TASK_KIND("test_blobs", make)

}  // namespace
}  // namespace assay
