#include "methods/moe/routers/directions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

double condition_number(const at::Tensor& gate) {
  const at::Tensor values = at::linalg_svdvals(gate.cpu().to(at::kDouble));
  constexpr double kMost = 1e12;  // of gates with two equal rows
  const double largest = values[0].item<double>(), smallest = values[-1].item<double>();
  return smallest * kMost > largest ? largest / smallest : kMost;
}

}  // namespace

at::Tensor unit(const at::Tensor& direction) {
  return direction / direction.norm().clamp_min(1e-8);
}

std::vector<at::Tensor> gates_of(const RouterJob& job,
                                 const std::vector<std::vector<at::Tensor>>& directions,
                                 Negatives negatives, double temperature) {
  const OneThread one;  // factorisations on more threads give other last bits
  std::vector<at::Tensor> gates;
  double worst = 1;
  for (size_t block = 0; block < directions.size(); ++block) {
    const at::Tensor all = at::stack(directions[block]);
    std::vector<at::Tensor> rows;
    for (size_t i = 0; i < directions[block].size(); ++i) {
      at::Tensor row = directions[block][i];
      if (negatives == Negatives::kOthers && all.size(0) > 1)
        row = row - (all.sum(0) - row) / static_cast<double>(all.size(0) - 1);
      rows.push_back(unit(row));
    }
    const at::Tensor gate = at::stack(rows);
    worst = std::max(worst, condition_number(gate));
    gates.push_back((gate / temperature).to(at::kFloat));
  }
  job.models.parts(job.gates.front()).report("gate_condition_max", worst);
  return gates;
}

}  // namespace assay
