#include <algorithm>
#include <bit>

#include "harness/kernels/select/kth_magnitude.h"
#include "methods/dense/part_deltas.h"

namespace assay {
namespace {

/// TATR without data: task arithmetic within a trust region. Entries that several experts changed
/// most, where their tasks are likely in conflict, are left at the base.
struct Tatr {
  enum class Ties { kKeep, kDrop };

  static constexpr MethodInfo info{
      .name = "tatr",
      .paper = "arXiv:2501.15065 §4",
      .summary = "sum of the task vectors without the entries that several experts change most",
      .needs = {.base = true},
      .elementwise = true,
      .identity = R"({"quantile": 1, "scale": 0.5})",
      .flops = "(20 N - 8) d"};
  static constexpr Preset presets[] = {
      {"fusionbench", R"({"ties": "drop"})",
       "FusionBench's rule with zero_shot: a model all of whose conflicts are equal, as where one "
       "expert alone changed anything, becomes the base"}};
  double quantile = 0.99;
  Ties ties = Ties::kKeep;
  double scale = 0.3;

  void parameters(auto&& p) {
    p(quantile,
      {.name = "quantile",
       .range = {0, 1},
       .sweep = {0.9, 0.99, 0.999},
       .help = "share of the model's entries in the trust region, those of least conflict"});
    p(ties, {.name = "ties",
             .choices = {"keep", "drop"},
             .help = "whether entries whose conflict equals that at the border of the region "
                     "belong to it"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.2, 0.3, 0.4},
              .help = "multiplier of the summed task vectors"});
  }

  void prepare(const ModelJob& job) {
    int64_t count = 0;
    for (const std::string& name : job.names()) count += job.parts(name).elements();
    const auto inside = static_cast<int64_t>(quantile * static_cast<double>(count));
    if (count == 0) return;
    // The border is the last entry inside, or with `drop` the first one outside.
    const int64_t rank =
        ties == Ties::kKeep ? std::max<int64_t>(inside, 1) : std::min<int64_t>(inside + 1, count);
    KthMagnitude selection({rank}, count);
    do {
      job.for_each([&](size_t k) {
        job.parts(job.names()[k]).for_each([&](const TensorJob& part) {
          const at::Tensor values = conflict_of(part);
          selection.feed(at::zeros_like(values), {values}, {DeltaTerm{}}, part.offset);
        });
      });
    } while (selection.next());
    border_ = std::bit_cast<float>(selection.found(0).bits);
  }

  at::Tensor merge(const TensorJob& part) const {
    at::Tensor sum = part_delta(part, 0);
    for (size_t i = 1; i < part.experts.size(); ++i) sum += part_delta(part, i);
    const at::Tensor conflict = conflict_of(part);
    const at::Tensor outside = ties == Ties::kKeep ? conflict > border_ : conflict >= border_;
    return add_to_base(part, sum.masked_fill_(outside, 0), scale);
  }

 private:
  /// The sum of |delta_i| |delta_j| over all pairs of different experts, each of them twice.
  static at::Tensor conflict_of(const TensorJob& part) {
    at::Tensor sizes = part_delta(part, 0).abs_();
    at::Tensor conflict = at::zeros_like(sizes);
    for (size_t i = 1; i < part.experts.size(); ++i) {
      const at::Tensor size = part_delta(part, i).abs_();
      conflict.addcmul_(sizes, size, 2);
      sizes += size;
    }
    return conflict;
  }

  float border_ = 0;
};

ASSAY_METHOD(Tatr)

}  // namespace
}  // namespace assay
