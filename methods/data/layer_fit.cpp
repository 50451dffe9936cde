#include "methods/data/layer_fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

constexpr int64_t kChunk = 256;  // rows of a chunk, and of a block of a factor

int64_t chunks_of(int64_t rows) { return (rows + kChunk - 1) / kChunk; }

// On the CPU several at a time, each on one thread.
void each_alone(int64_t count, const std::function<void(int64_t index)>& work) {
  if (count == 1) {
    const OneThread one;
    return work(0);
  }
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(i);
  });
}

// Multiplies the rows of a square matrix from row `first` on by `factor`, and what is off its
// diagonal by alpha, too.
void scale_rows(at::Tensor& rows, int64_t first, double factor, double alpha) {
  if (alpha == 1 && factor == 1) return;
  const at::Tensor diagonal = rows.diagonal(first) * factor;
  rows.mul_(factor * alpha);
  rows.diagonal(first).copy_(diagonal);
}

// A factor's blocks are worked on concurrently; LAPACK's own order of sums depends on threads.
at::Tensor blocked_factor(const at::Tensor& matrix) {
  at::Tensor factor = matrix.tril();
  const int64_t size = factor.size(0), blocks = chunks_of(size);
  const auto block = [&](int64_t row, int64_t column) {
    return factor.narrow(0, row * kChunk, std::min(kChunk, size - row * kChunk))
        .narrow(1, column * kChunk, std::min(kChunk, size - column * kChunk));
  };
  for (int64_t k = 0; k < blocks; ++k) {
    at::Tensor corner;
    {
      const OneThread one;
      auto [lower, failed_at] = at::linalg_cholesky_ex(block(k, k));
      if (failed_at.item<int64_t>() != 0) return {};
      corner = lower;
    }
    block(k, k).copy_(corner);
    const int64_t below = blocks - k - 1;
    if (below == 0) break;
    each_alone(below, [&](int64_t i) {
      at::Tensor panel = block(k + 1 + i, k);
      panel.copy_(at::linalg_solve_triangular(corner.t(), panel, /*upper=*/true, /*left=*/false));
    });
    each_alone(below * (below + 1) / 2, [&](int64_t index) {
      int64_t row = 0;
      while ((row + 1) * (row + 2) / 2 <= index) ++row;
      const int64_t column = index - row * (row + 1) / 2;
      block(k + 1 + row, k + 1 + column)
          .addmm_(block(k + 1 + row, k), block(k + 1 + column, k).t(), 1, -1);
    });
  }
  return factor;
}

// The factor of a Gram matrix, to whose diagonal as much is added as it takes: `ridge` times its
// mean.
at::Tensor factor_with_ridge(const at::Tensor& gram, double& ridge, const std::string& tensor) {
  const at::Tensor diagonal = gram.diagonal();
  at::Tensor mean;
  {
    const OneThread one;
    mean = diagonal.mean();
  }
  ridge = 0;
  while (true) {
    if (at::Tensor factor = cholesky_factor(gram); factor.defined()) return factor;
    const double wanted = ridge == 0 ? 1e-6 : ridge * 10;
    if (wanted > 1)
      data_error(
          "the sum of the experts' statistics 'input_gram' for '{}' is no Gram matrix: it "
          "has no Cholesky factor even with its mean diagonal added",
          tensor);
    diagonal.add_(mean, wanted - ridge);
    ridge = wanted;
  }
}

}  // namespace

void for_row_chunks(const at::Tensor& matrix,
                    const std::function<void(int64_t first, int64_t count)>& work) {
  const int64_t rows = matrix.size(0);
  if (rows == 0) return;
  if (matrix.is_cuda()) return work(0, rows);
  each_alone(chunks_of(rows),
             [&](int64_t chunk) { work(chunk * kChunk, std::min(kChunk, rows - chunk * kChunk)); });
}

LayerMatrices layer_matrices(const std::vector<at::Tensor>& experts, const LayerInfo& layer,
                             const std::vector<double>& shares) {
  LayerMatrices matrices;
  for (const at::Tensor& expert : experts) {
    const at::Tensor matrix = layer.in_out ? expert.t() : expert.flatten(1);
    matrices.experts.push_back(matrix.to(at::kDouble).contiguous());
  }
  matrices.mean = matrices.experts[0] * shares[0];
  for (size_t i = 1; i < experts.size(); ++i) matrices.mean.add_(matrices.experts[i], shares[i]);
  return matrices;
}

at::Tensor stored_weight(const at::Tensor& matrix, const LayerInfo& layer, at::IntArrayRef shape) {
  return (layer.in_out ? matrix.t() : matrix).reshape(shape).to(at::kFloat).contiguous();
}

at::Tensor reduced_gram(const at::Tensor& gram, double alpha) {
  at::Tensor reduced = gram.to(at::kDouble);
  if (alpha == 1) return reduced;
  if (reduced.is_same(gram)) reduced = gram.clone();
  scale_rows(reduced, 0, 1, alpha);
  return reduced;
}

at::Tensor GramReader::stored(const Evidence& evidence, size_t expert, const std::string& name,
                              int64_t size, at::Device device) const {
  const std::shared_ptr<const TensorSource> source = evidence.statistic(statistic, expert);
  if (!source->find(name)) return at::zeros({size, size}, device);
  const at::Tensor stored = source->read(name);
  if (stored.sizes() != at::IntArrayRef{size, size})
    data_error("the statistic '{}' of expert {} has shape {} for '{}': expected [{}, {}]",
               statistic.name, expert, shape_text(stored.sizes()), name, size, size);
  return stored.to(device);
}

at::Tensor GramReader::read(const Evidence& evidence, size_t expert, const std::string& name,
                            int64_t size, at::Device device) const {
  return reduced_gram(stored(evidence, expert, name, size, device), alpha);
}

NormalEquations normal_equations(const LayerMatrices& layer, const std::vector<double>& shares,
                                 double alpha,
                                 const std::function<at::Tensor(size_t expert)>& gram) {
  // Both sums of differences from the last expert's Gram matrix: the differences of the weights
  // have the weighted sum 0, so one product is saved, and the shares have the sum 1.
  const size_t last = layer.experts.size() - 1;
  const at::Tensor of_last = gram(last);
  const int64_t inputs = layer.inputs();
  NormalEquations equations{at::empty({inputs, inputs}, layer.mean.options()),
                            at::zeros_like(layer.mean)};
  for_row_chunks(equations.sum, [&](int64_t first, int64_t count) {
    at::Tensor rows = equations.sum.narrow(0, first, count);
    rows.copy_(of_last.narrow(0, first, count));
    scale_rows(rows, first, 1, alpha);
  });
  at::Tensor weighted = last > 0 ? at::empty_like(equations.sum) : at::Tensor();
  for (size_t i = 0; i < last; ++i) {
    const at::Tensor own = gram(i);
    for_row_chunks(weighted, [&](int64_t first, int64_t count) {
      at::Tensor rows = weighted.narrow(0, first, count);
      rows.copy_(own.narrow(0, first, count));
      rows.sub_(of_last.narrow(0, first, count).to(at::kDouble));
      scale_rows(rows, first, shares[i], alpha);
      equations.sum.narrow(0, first, count).add_(rows);
    });
    for_row_chunks(equations.right, [&](int64_t first, int64_t count) {
      const at::Tensor difference =
          layer.experts[i].narrow(0, first, count) - layer.mean.narrow(0, first, count);
      equations.right.narrow(0, first, count).addmm_(difference, weighted);
    });
  }
  return equations;
}

at::Tensor cholesky_factor(const at::Tensor& matrix) {
  if (!matrix.is_cuda()) return blocked_factor(matrix);
  auto [factor, failed_at] = at::linalg_cholesky_ex(matrix);
  return failed_at.item<int64_t>() == 0 ? factor : at::Tensor();
}

at::Tensor solve(NormalEquations& equations, const std::string& tensor, SolveNotes& notes) {
  // An input that was 0 in all examples has a row of zeros on both sides.
  const at::Tensor dead = equations.sum.diagonal() == 0;
  equations.sum.diagonal().masked_fill_(dead, 1);
  notes.dead_inputs = dead.to(at::kDouble).mean().item<double>();
  const at::Tensor factor = factor_with_ridge(equations.sum, notes.ridge, tensor);
  at::Tensor difference = std::move(equations.right);
  for_row_chunks(difference, [&](int64_t first, int64_t count) {
    at::Tensor rows = difference.narrow(0, first, count);
    // Not at::cholesky_solve(), which copies the factor for every chunk.
    const at::Tensor half =
        at::linalg_solve_triangular(factor.t(), rows, /*upper=*/true, /*left=*/false);
    rows.copy_(at::linalg_solve_triangular(factor, half, /*upper=*/false, /*left=*/false));
  });
  return difference;
}

bool is_head(const LayerInfo& layer) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "lm_head", "embed_out", "classifier", "pre_classifier",
      "score",   "head",      "heads",      "qa_outputs"};
  if (layer.block) return false;
  for (size_t first = 0; first < layer.weight.size();) {
    const size_t end = std::min(layer.weight.find('.', first), layer.weight.size());
    const std::string_view part(layer.weight.data() + first, end - first);
    if (std::find(kNames.begin(), kNames.end(), part) != kNames.end()) return true;
    first = end + 1;
  }
  return false;
}

}  // namespace assay
