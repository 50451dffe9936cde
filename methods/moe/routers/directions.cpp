#include "methods/moe/routers/directions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/hidden_states.h"

namespace assay {
namespace {

double condition_number(const at::Tensor& gate) {
  const at::Tensor values = at::linalg_svdvals(gate.cpu().to(at::kDouble));
  constexpr double kMost = 1e12;  // of gates with two equal rows
  const double largest = values[0].item<double>(), smallest = values[-1].item<double>();
  return smallest * kMost > largest ? largest / smallest : kMost;
}

/// Two experts of which no token is sent to one rather than the other.
void refuse_equal_rows(const at::Tensor& rows, const std::string& gate) {
  constexpr double kSame = 1e-6;  // of the longer one
  for (int64_t i = 0; i < rows.size(0); ++i)
    for (int64_t j = i + 1; j < rows.size(0); ++j)
      if ((rows[i] - rows[j]).norm().item<double>() <=
          kSame * std::max(rows[i].norm().item<double>(), rows[j].norm().item<double>()))
        data_error(
            "the router gives the experts {} and {} the same row of '{}', so that no token tells "
            "them apart: expected experts whose examples differ",
            i, j, gate);
}

/// mergekit-moe's bound: above it, gates hardly tell the experts apart.
constexpr double kDegenerate = 5;

}  // namespace

at::Tensor unit(const at::Tensor& direction) {
  return direction / direction.norm().clamp_min(1e-8);
}

std::vector<std::optional<size_t>> direction_examples(const RouterJob& job, Negatives negatives) {
  std::vector<std::optional<size_t>> all;
  for (size_t i = 0; i < job.experts; ++i) all.emplace_back(i);
  if (negatives == Negatives::kGiven)
    for (size_t i = 0; i < job.experts; ++i)
      all.push_back(hidden_states(job.models.evidence().network()).negatives(i));
  return all;
}

at::Tensor embedding_sum(const Network& network, size_t expert, int64_t batch) {
  at::Tensor sum;
  for (int64_t first = 0; first < network.examples(expert); first += batch) {
    const int64_t count = std::min(batch, network.examples(expert) - first);
    const at::Tensor part =
        hidden_states(network).embedding_sums(expert, first, count).sum(0).cpu();
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

void check_gates(const RouterJob& job, const std::vector<at::Tensor>& gates) {
  const OneThread one;  // factorisations on more threads give other last bits
  double worst = 1;
  for (size_t block = 0; block < gates.size(); ++block) {
    const at::Tensor gate = gates[block].cpu().to(at::kDouble);
    if (!gate.isfinite().all().item<bool>())
      data_error(
          "the router gives '{}' values that are not finite, as the hidden states of the experts' "
          "examples in the base are not",
          job.gates[block]);
    refuse_equal_rows(gate, job.gates[block]);
    worst = std::max(worst, condition_number(gate));
  }
  job.models.parts(job.gates.front()).report("gate_condition_max", worst);
  if (worst > kDegenerate)
    log_warning_once(fmt::format(
        "the gates that the router makes are badly conditioned ({:.3g}, where more than {:g} counts "
        "as degenerate): the experts' examples are much alike",
        worst, kDegenerate));
}

std::vector<at::Tensor> gates_of(const RouterJob& job,
                                 const std::vector<std::vector<at::Tensor>>& directions,
                                 Negatives negatives, double temperature) {
  const OneThread one;  // sums on more threads give other last bits
  std::vector<at::Tensor> gates;
  for (const std::vector<at::Tensor>& of_block : directions) {
    const std::vector<at::Tensor> experts(of_block.begin(),
                                          of_block.begin() + static_cast<int64_t>(job.experts));
    const at::Tensor sum = at::stack(experts).sum(0);
    std::vector<at::Tensor> rows;
    for (size_t i = 0; i < experts.size(); ++i) {
      at::Tensor row = experts[i];
      if (negatives == Negatives::kOthers && experts.size() > 1)
        row = row - (sum - row) / static_cast<double>(experts.size() - 1);
      if (negatives == Negatives::kGiven && of_block[experts.size() + i].defined())
        row = row - of_block[experts.size() + i];
      rows.push_back(unit(row));
    }
    gates.push_back((at::stack(rows) / temperature).to(at::kFloat));
  }
  check_gates(job, gates);
  return gates;
}

}  // namespace assay
