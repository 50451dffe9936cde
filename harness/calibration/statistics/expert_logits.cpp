// The scores that an expert gives to its own examples: what methods that imitate experts compare
// the merged model with, without the experts. Of each row of scores the highest are kept.
#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"
#include "harness/model/layers_of.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

/// The rows of a batch.
struct Rows {
  at::Tensor scores, classes;  ///< [rows, kept]
  at::Tensor of_examples;      ///< how many rows each example has
};

/// Layers give zeros of the right shape.
class ShapesAlone final : public LayerObserver {
 public:
  void layer(const LayerInput&) override {}
  bool shapes_only() const override { return true; }
};

int64_t classes_of(const Architecture& architecture) {
  StateDict weights;
  for (const TensorInfo& info : architecture.tensors())
    weights[info.name] = at::scalar_tensor(0.0f).expand(info.shape);  // one value in memory
  const ShapesAlone shapes_alone;
  return class_logits(architecture, weights, example_batch(architecture)).size(1);
}

struct ExpertLogits {
  static constexpr StatisticInfo info{
      .name = "expert_logits",
      .paper = "arXiv:2410.08371 §3",
      .summary = "the highest scores of every row, and their classes"};

  int64_t top_k = 128;

  void parameters(auto&& p) {
    p(top_k, {.name = "top_k",
              .range = {0, 1 << 20},
              .help = "how many scores of a row are kept; 0: all. Those of a model with no more "
                      "classes are kept in the order of the classes"});
  }

  Rows observe(const StatisticBatch& batch) const {
    const at::Tensor scores =
        class_logits(batch.network.architecture, batch.weights, batch.inputs).cpu();
    const int64_t examples = batch.inputs.inputs.size(0), all = scores.size(1);
    Rows rows;
    rows.of_examples = row_examples(batch.inputs).bincount({}, examples);
    if (top_k == 0 || top_k >= all) {
      rows.scores = scores;
      rows.classes = at::arange(all, at::kInt).expand({scores.size(0), all});
    } else {
      const auto [values, places] = scores.topk(top_k, 1);
      rows.scores = values;
      rows.classes = places.to(at::kInt);
    }
    return rows;
  }

  void add(Rows rows) {
    scores_.push_back(std::move(rows.scores));
    classes_.push_back(std::move(rows.classes));
    of_examples_.push_back(std::move(rows.of_examples));
  }

  StatisticTensors finish(const NetworkShape&, int64_t) {
    const at::Tensor ends = at::cat(of_examples_).cumsum(0);
    return {{{"scores", at::cat(std::exchange(scores_, {}))},
             {"classes", at::cat(std::exchange(classes_, {}))},
             {"first_rows", at::cat({at::zeros({1}, at::kLong), ends})}}};
  }

  int64_t working_bytes(const NetworkShape&) const { return 0; }

  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const {
    return tokens * classes_of(network.architecture) * static_cast<int64_t>(sizeof(float));
  }

  int64_t example_bytes(const NetworkShape& network, int64_t tokens) const {
    const int64_t classes = classes_of(network.architecture);
    const int64_t kept = top_k == 0 ? classes : std::min(top_k, classes);
    const bool of_tokens = example_batch(network.architecture).scored.defined();
    return (of_tokens ? tokens : 1) * kept * static_cast<int64_t>(sizeof(float) + sizeof(int32_t));
  }

 private:
  std::vector<at::Tensor> scores_, classes_, of_examples_;
};

ASSAY_STATISTIC(ExpertLogits)

}  // namespace
}  // namespace assay
