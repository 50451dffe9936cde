#include "methods/moe/sparse_low_rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace assay {

double RestSchedule::share(int64_t step) const {
  if (step > steps - final) return last;  // also where no step is between these two
  if (step <= warmup) return 1;
  const double part =
      static_cast<double>(step - warmup) / static_cast<double>(steps - warmup - final);
  return last + (1 - last) * std::pow(1 - part, 3);
}

int64_t rank_of(int64_t rows, int64_t columns, double ratio) {
  const auto m = static_cast<double>(rows), n = static_cast<double>(columns);
  const auto rank = static_cast<int64_t>(std::ceil(ratio * m * n / (m + n)));
  return std::min({rank, rows, columns});
}

SparseLowRank::SparseLowRank(const at::Tensor& matrix, int64_t rank) {
  const auto [u, s, v] = at::linalg_svd(matrix, /*full_matrices=*/false);
  const at::Tensor root = s.narrow(0, 0, rank).sqrt();
  left = (u.narrow(1, 0, rank) * root).contiguous();
  right = (v.narrow(0, 0, rank) * root.unsqueeze(1)).contiguous();
  rest = matrix - left.mm(right);
  importance = at::zeros_like(rest);
  previous = at::zeros_like(rest);
}

void SparseLowRank::observe(const at::Tensor& gradient, double decay) {
  importance = decay * importance + (1 - decay) * previous;
  previous = (rest.detach() * gradient).abs();
}

int64_t SparseLowRank::rows() const { return (rest.detach() != 0).any(1).sum().item<int64_t>(); }

int64_t SparseLowRank::parameters() const {
  return left.numel() + right.numel() + rows() * rest.size(1);
}

void drop_rows(std::vector<SparseLowRank>& matrices, double share) {
  // A row's entries share its mean: what is counted is entries, in the order of their rows.
  struct Row {
    double score;
    int64_t entries;
  };
  std::vector<at::Tensor> scores;
  std::vector<Row> rows;
  int64_t all = 0;
  for (const SparseLowRank& matrix : matrices) {
    scores.push_back(matrix.importance.mean(1).to(at::kCPU, at::kDouble).contiguous());
    const double* of_rows = scores.back().const_data_ptr<double>();
    for (int64_t i = 0; i < scores.back().numel(); ++i)
      rows.push_back({of_rows[i], matrix.rest.size(1)});
    all += matrix.rest.numel();
  }
  int64_t dropped = static_cast<int64_t>(static_cast<double>(all) * (1 - share));
  if (dropped == 0) return;
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.score < b.score; });
  double threshold = rows.back().score;
  for (const Row& row : rows) {
    threshold = row.score;
    dropped -= row.entries;
    if (dropped <= 0) break;
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    const at::Tensor kept = scores[i].ge(threshold).to(matrices[i].rest.device());
    at::Tensor values = matrices[i].rest.detach();
    values.mul_(kept.unsqueeze(1).to(values.scalar_type()));
  }
}

}  // namespace assay
