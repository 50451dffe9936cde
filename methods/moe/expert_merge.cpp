#include "methods/moe/expert_merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/assignment.h"
#include "methods/permute/zip.h"

namespace assay {
namespace {

void add_to(at::Tensor& sum, const at::Tensor& term) {
  sum = sum.defined() ? sum.add_(term) : term;
}

}  // namespace

std::vector<double> shares(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> shares;
  for (const double weight : weights)
    shares.push_back(sum == 0 ? 1 / static_cast<double>(weights.size()) : weight / sum);
  return shares;
}

std::vector<int64_t> unit_order(const MixtureLayer& layer, const Matrices& target,
                                const Matrices& expert) {
  at::Tensor products;
  for (size_t p = 0; p < layer.parts.size(); ++p)
    add_to(products,
           layer.parts[p].reads_units ? target[p].t().mm(expert[p]) : target[p].mm(expert[p].t()));
  return assign(products, Assign::kMaximize, layer.router);
}

Matrices in_order(const MixtureLayer& layer, const Matrices& expert,
                  const std::vector<int64_t>& order) {
  Matrices ordered;
  for (size_t p = 0; p < expert.size(); ++p)
    ordered.push_back(expert[p].index_select(layer.parts[p].reads_units ? 1 : 0,
                                             at::tensor(order, at::kLong).to(expert[p].device())));
  return ordered;
}

Matrices weighted_mean(const std::vector<Matrices>& experts, const std::vector<double>& weights,
                       double epsilon) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const std::vector<double> of_one = shares(weights);
  const double shrunk = sum == 0 ? 1 : sum / (sum + epsilon);
  Matrices mean;
  for (size_t p = 0; p < experts.front().size(); ++p) {
    at::Tensor total;
    for (size_t i = 0; i < experts.size(); ++i) add_to(total, experts[i][p] * of_one[i]);
    mean.push_back(total * shrunk);
  }
  return mean;
}

Matrices mean_by_importance(const std::vector<Matrices>& experts,
                            const std::vector<Matrices>& importance) {
  Matrices mean;
  for (size_t p = 0; p < experts.front().size(); ++p) {
    at::Tensor total, sum, plain;
    for (size_t i = 0; i < experts.size(); ++i) {
      add_to(total, experts[i][p] * importance[i][p]);
      add_to(sum, importance[i][p].clone());
      add_to(plain, experts[i][p] / static_cast<double>(experts.size()));
    }
    mean.push_back(at::where(sum > 0, total / sum, plain));
  }
  return mean;
}

Matrices subspace_mean(const std::vector<Matrices>& experts, const std::vector<double>& weights,
                       double share) {
  const std::vector<double> of_one = shares(weights);
  Matrices mean;
  for (size_t p = 0; p < experts.front().size(); ++p) {
    std::vector<at::Tensor> all;
    for (const Matrices& expert : experts) all.push_back(expert[p]);
    const auto [u, s, v] = at::linalg_svd(at::cat(all, 1), /*full_matrices=*/false);
    const auto kept = static_cast<int64_t>(std::ceil(share * static_cast<double>(s.numel())));
    const int64_t columns = all.front().size(1);
    at::Tensor of_columns;
    for (size_t i = 0; i < experts.size(); ++i)
      add_to(
          of_columns,
          v.narrow(1, static_cast<int64_t>(i) * columns, columns).narrow(0, 0, kept) * of_one[i]);
    mean.push_back((u.narrow(1, 0, kept) * s.narrow(0, 0, kept)).mm(of_columns));
  }
  return mean;
}

Matrices zip_mean(const MixtureLayer& layer, const std::vector<Matrices>& experts,
                  const std::vector<double>& weights, const at::Tensor& correlations,
                  double alpha) {
  const auto models = static_cast<int64_t>(experts.size());
  const int64_t units = correlations.size(0) / models;
  const std::vector<int64_t> unit_of =
      zip_units(correlations, units, models, {alpha, /*beta=*/1}).unit_of;
  at::Tensor members = at::zeros({units, units * models}, at::kDouble);
  for (size_t i = 0; i < unit_of.size(); ++i) members[unit_of[i]][static_cast<int64_t>(i)] = 1;
  const at::Tensor of_units =
      at::tensor(shares(weights), at::kDouble).repeat_interleave(units).unsqueeze(0);
  const at::Tensor giving = members * of_units;
  const at::Tensor sums = giving.sum(1, /*keepdim=*/true);
  // Where no member has a weight they count alike.
  const at::Tensor reading =
      at::where(sums > 0, giving / sums, members / members.sum(1, /*keepdim=*/true));
  Matrices mean;
  for (size_t p = 0; p < layer.parts.size(); ++p) {
    const bool reads_units = layer.parts[p].reads_units;
    at::Tensor total;
    for (int64_t i = 0; i < models; ++i) {
      const at::Tensor& own = experts[static_cast<size_t>(i)][p];
      const at::Tensor by = (reads_units ? giving : reading).narrow(1, i * units, units);
      add_to(total, reads_units ? own.mm(by.t().to(own.device())) : by.to(own.device()).mm(own));
    }
    mean.push_back(total);
  }
  return mean;
}

at::Tensor hidden_units(const MixtureLayer& layer, const Matrices& expert, const at::Tensor& x) {
  at::Tensor units;
  for (size_t p = 0; p < layer.parts.size(); ++p) {
    if (layer.parts[p].reads_units) continue;
    at::Tensor read = x.mm(expert[p].t());
    if (layer.parts[p].is_activated) read = at::silu(read);
    units = units.defined() ? units * read : read;
  }
  return units;
}

size_t output_part(const MixtureLayer& layer) {
  const auto found = std::find_if(layer.parts.begin(), layer.parts.end(),
                                  [](const ExpertPart& part) { return part.reads_units; });
  ASSAY_CHECK(found != layer.parts.end(), "experts of '{}' have no output", layer.router);
  return static_cast<size_t>(found - layer.parts.begin());
}

void OutputFit::add(const at::Tensor& units, const at::Tensor& outputs) {
  add_to(gram, units.t().mm(units));
  add_to(cross, units.t().mm(outputs));
}

at::Tensor OutputFit::solve(const at::Tensor& start, double ridge) const {
  const double strength = ridge * gram.diagonal().mean().item<double>();
  if (strength == 0 && gram.diagonal().max().item<double>() == 0) return start;
  const at::Tensor held = gram + strength * at::eye(gram.size(0), gram.options());
  const at::Tensor left = cross - gram.mm(start.t());
  // By eigenvalues: units that are dead or equal make the matrix singular.
  const auto [values, vectors] = at::linalg_eigh(held);
  const double least = 1e-12 * values.max().item<double>();
  const at::Tensor inverse = at::where(values > least, 1 / values, at::zeros_like(values));
  return start + (vectors * inverse).mm(vectors.t().mm(left)).t();
}

void UnitMoments::add(const at::Tensor& units) {
  add_to(sum, units.sum(0));
  add_to(products, units.t().mm(units));
  rows += static_cast<double>(units.size(0));
}

at::Tensor UnitMoments::correlations() const {
  const at::Tensor means = sum / rows;
  const at::Tensor covariances = products / rows - means.unsqueeze(1) * means.unsqueeze(0);
  const at::Tensor deviations = covariances.diagonal().clamp_min(0).sqrt();
  const at::Tensor scale = deviations.unsqueeze(1) * deviations.unsqueeze(0);
  return at::where(scale > 0, covariances / scale, at::zeros_like(covariances));
}

}  // namespace assay
