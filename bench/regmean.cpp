// What RegMean's fits of a model's layers cost, next to the Cholesky solves of the same equations
// by LAPACK alone. See docs/performance.md.
//
// usage: bench_regmean [--threads N] [--rounds N]
#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/timing.h"
#include "harness/core/huge_pages.h"
#include "methods/data/layer_fit.h"

namespace assay {
namespace {

constexpr size_t kExperts = 3;

struct Shape {
  std::string name;
  int64_t outputs, inputs;
};
// Of the decoder of 100 million parameters that scripts/bench/make_checkpoints.py makes.
const std::vector<Shape> kShapes{{"q_proj, o_proj", 768, 768},
                                 {"k_proj, v_proj", 96, 768},
                                 {"gate_proj, up_proj", 2048, 768},
                                 {"down_proj", 768, 2048}};

void measure(const Shape& shape, int rounds) {
  std::vector<at::Tensor> experts, grams;
  for (size_t i = 0; i < kExperts; ++i) {
    experts.push_back(at::randn({shape.outputs, shape.inputs}).to(at::kBFloat16));
    const at::Tensor x = at::randn({2 * shape.inputs, shape.inputs});
    grams.push_back(x.t().mm(x) / static_cast<double>(x.size(0)));
  }
  const std::vector<double> shares(kExperts, 1.0 / static_cast<double>(kExperts));
  const LayerInfo layer{.weight = shape.name, .inputs = shape.inputs};
  const auto equations_of = [&](const LayerMatrices& matrices) {
    return normal_equations(matrices, shares, 0.9, [&](size_t expert) { return grams[expert]; });
  };
  const auto fit = [&] {
    const LayerMatrices matrices = layer_matrices(experts, layer, shares);
    NormalEquations equations = equations_of(matrices);
    SolveNotes notes;
    return stored_weight(matrices.mean + solve(equations, shape.name, notes), layer,
                         experts.front().sizes());
  };
  const NormalEquations ready = equations_of(layer_matrices(experts, layer, shares));
  const at::Tensor right = ready.right.t().contiguous();
  const auto bare = [&] { return at::cholesky_solve(right, at::linalg_cholesky(ready.sum)); };
  fit();
  bare();
  std::vector<double> fits, solves, bares;
  for (int round = 0; round < rounds; ++round) {  // in turn: the machine's speed drifts
    fits.push_back(seconds(fit));
    NormalEquations equations{ready.sum.clone(), ready.right.clone()};
    SolveNotes notes;
    solves.push_back(seconds([&] { solve(equations, shape.name, notes); }));
    bares.push_back(seconds(bare));
  }
  fmt::print(
      "{:18} [{:4}, {:4}]: fit {:7.1f} ms, its solve {:7.1f} ms, LAPACK's {:7.1f} ms: "
      "{:.2f} and {:.2f} times\n",
      shape.name, shape.outputs, shape.inputs, 1e3 * median(fits), 1e3 * median(solves),
      1e3 * median(bares), median(fits) / median(bares), median(solves) / median(bares));
}

int run(int argc, char** argv) {
  const std::optional<int> chosen = rounds_of("bench_regmean", argc, argv);
  if (!chosen) return 2;
  const int rounds = *chosen;
  fmt::print("{} experts, {} threads, float64, medians of {} rounds\n", kExperts,
             at::get_num_threads(), rounds);
  for (const Shape& shape : kShapes) measure(shape, rounds);
  return 0;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  assay::use_huge_pages();
  return assay::run(argc, argv);
}
