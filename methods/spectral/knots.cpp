#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/coordinates.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// KnOTS: one singular value decomposition of all task vectors side by side gives them a common
/// basis; another method merges what each expert has in it.
struct Knots {
  enum class Stack { kInputs, kOutputs };
  enum class Values { kParts, kBasis };

  static constexpr MethodInfo info{
      .name = "knots",
      .paper = "arXiv:2410.19735 §4",
      .summary = "another method on the task vectors in a common basis of their outputs",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "scale": 1, "above": 0})",
      .flops =
          "4 L S^2 + 9 S^3 + 2 S d, where S and L are the shorter and the longer side of all task vectors side by side"};
  CoordinateMerge steps{"ties", 0.6, CoordinateMerge::Rest::kMethod};
  double above = 1e-5;
  Stack stack = Stack::kInputs;
  Values values = Values::kParts;

  void parameters(auto&& p) {
    steps.parameters(p);
    p(above, {.name = "above",
              .range = {0, 1},
              .help = "directions with singular values up to this are left out, whatever the size "
                      "of the task vectors; 0 keeps all that are not 0"});
    p(stack, {.name = "stack",
              .choices = {"inputs", "outputs"},
              .help = "whether task vectors stand side by side and share a basis of outputs, or "
                      "one below the other and share a basis of inputs"});
    p(values, {.name = "values",
               .choices = {"parts", "basis"},
               .help = "whether singular values multiply what is merged, or the common basis"});
  }
  std::optional<std::string> conflict() const { return steps.conflict(); }
  void prepare(const ModelJob& job) { steps.prepare(job, make()); }
  at::Tensor merge(const TensorJob& job) const { return steps.merge(job, make()); }

 private:
  MakeCoordinates make() const {
    return [this](const TensorJob& job) { return coordinates(job); };
  }

  Coordinates coordinates(const TensorJob& job) const {
    std::vector<at::Tensor> deltas = delta_matrices(job);
    if (stack == Stack::kOutputs)
      for (at::Tensor& delta : deltas) delta = delta.t();
    const Svd factors = factorize(at::cat(deltas, 1), {.above = above});
    const at::Tensor rows = values == Values::kParts ? factors.v * factors.s : factors.v;
    Coordinates made;
    for (const at::Tensor& part : rows.split(deltas[0].size(1))) {
      const at::Tensor own = stack == Stack::kInputs ? part.t() : part;
      made.experts.push_back(own.to(at::kFloat).contiguous());
    }
    (stack == Stack::kInputs ? made.left : made.right) =
        values == Values::kParts ? factors.u : factors.u * factors.s;
    return made;
  }
};

ASSAY_METHOD(Knots)

}  // namespace
}  // namespace assay
