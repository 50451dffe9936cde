#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/coordinates.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// Core Space: the task vectors in common bases of their outputs and of their inputs, where another
/// method merges them. For adapters of rank r, the coordinates of N experts are N r by N r.
struct CoreSpace {
  static constexpr MethodInfo info{
      .name = "core_space",
      .paper = "arXiv:2509.17786 §3",
      .summary = "another method on the task vectors in common bases of outputs and inputs",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops =
          "two factorisations of all task vectors side by side (4 L S^2 + 9 S^3, where S and L "
          "are the shorter and the longer side), and 4 products with their bases"};
  CoordinateMerge steps{"task_arithmetic", 1, CoordinateMerge::Rest::kMethod};
  double above = 0;

  void parameters(auto&& p) {
    steps.parameters(p);
    p(above, {.name = "above",
              .range = {0, 1},
              .help = "directions with singular values up to this are left out, such as those that "
                      "the rounding of adapted weights adds; 0 keeps all that are not 0"});
  }
  std::optional<std::string> conflict() const { return steps.conflict(); }
  void prepare(const ModelJob& job) { steps.prepare(job, make()); }
  at::Tensor merge(const TensorJob& job) const { return steps.merge(job, make()); }

 private:
  MakeCoordinates make() const {
    return [this](const TensorJob& job) { return coordinates(job); };
  }

  Coordinates coordinates(const TensorJob& job) const {
    const std::vector<at::Tensor> deltas = delta_matrices(job);
    Coordinates made;
    for_each_matrix(job, 2, [&](size_t side) {
      if (side == 0)
        made.left = factorize(at::cat(deltas, 1), {.above = above}).u;
      else
        made.right = factorize(at::cat(deltas, 0), {.above = above}).v;
    });
    const OneThread one;
    for (const at::Tensor& delta : deltas)
      made.experts.push_back(made.left.t().mm(delta).mm(made.right).to(at::kFloat));
    return made;
  }
};

ASSAY_METHOD(CoreSpace)

}  // namespace
}  // namespace assay
