// A task kind: which of two values of a point is the greater one.
#include <ATen/ATen.h>

#include "harness/core/hash.h"
#include "harness/task/task.h"

namespace assay {
namespace {

class Points : public Task {
 public:
  Points(const std::string& name, const Json& definition)
      : Task(name, hash_text(canonical(definition)), definition) {}

  std::string primary_metric() const override { return "acc"; }
  int64_t size(Split) const override { return 4; }
  Examples examples(Split) const override {
    return {at::tensor({2.f, 1.f, 0.f, 1.f, 3.f, 0.f, -1.f, 2.f}).reshape({4, 2}),
            at::tensor({0, 1, 0, 1}, at::kLong)};
  }
  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const override {
    const Examples items = examples(split);
    const at::Tensor right =
        predictor.logits(items.inputs).argmax(1).eq(items.targets).to(at::kFloat).contiguous();
    const float* begin = right.const_data_ptr<float>();
    return {mean_of("acc", {begin, begin + right.numel()})};
  }
};

std::shared_ptr<const Task> make(const std::string& name, JsonReader definition) {
  definition.finish();
  return std::make_shared<Points>(name, definition.json());
}

ASSAY_TASK_KIND("test_points", make)

}  // namespace
}  // namespace assay
