#include "methods/moe/sequence_rows.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/lbfgs.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/method/hidden_states.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

void for_each_count(const Network& network, size_t expert, int64_t batch,
                    const std::function<void(const at::Tensor& counts)>& body) {
  for (int64_t first = 0; first < network.examples(expert); first += batch) {
    const int64_t count = std::min(batch, network.examples(expert) - first);
    body(hidden_states(network).token_counts(expert, first, count).cpu());
  }
}

/// How many examples have each token, float64 [vocabulary].
at::Tensor having_tokens(const Network& network, size_t experts, int64_t batch) {
  at::Tensor having;
  for (size_t i = 0; i < experts; ++i)
    for_each_count(network, i, batch, [&](const at::Tensor& counts) {
      const at::Tensor own = (counts > 0).to(at::kDouble).sum(0);
      having = having.defined() ? having + own : own;
    });
  return having;
}

at::Tensor idf_of(const Network& network, size_t experts, const at::Tensor& having) {
  double examples = 0;
  for (size_t i = 0; i < experts; ++i) examples += static_cast<double>(network.examples(i));
  return at::log((1 + examples) / (1 + having)) + 1;
}

/// Calls `body` with the counts times idf of batches of an expert's examples, each of unit length.
void for_each_vector(const Network& network, size_t expert, int64_t batch, const at::Tensor& idf,
                     const std::function<void(const at::Tensor& vectors)>& body) {
  for_each_count(network, expert, batch, [&](const at::Tensor& counts) {
    const at::Tensor weighted = counts * idf;
    body(weighted / weighted.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-30));
  });
}

}  // namespace

at::Tensor random_rows(const TensorParts& tensor, at::IntArrayRef shape) {
  at::Tensor rows = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    Rng rng(tensor.expert_key(static_cast<size_t>(i)));
    float* row = rows.mutable_data_ptr<float>() + i * rows.size(1);
    for (int64_t k = 0; k < rows.size(1); ++k) row[k] = static_cast<float>(rng.normal());
  }
  return rows;
}

at::Tensor embedding_rows(const Network& network, size_t experts, int64_t batch) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < experts; ++i) rows.push_back(unit(embedding_sum(network, i, batch)));
  return at::stack(rows);
}

Tfidf tfidf_rows(const Network& network, size_t experts, int64_t batch) {
  Tfidf made{idf_of(network, experts, having_tokens(network, experts, batch)), {}};
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < experts; ++i) {
    at::Tensor sum = at::zeros_like(made.idf);
    for_each_vector(network, i, batch, made.idf,
                    [&](const at::Tensor& vectors) { sum = sum + vectors.sum(0); });
    rows.push_back(unit(sum));
  }
  made.rows = at::stack(rows);
  return made;
}

Tfidf logistic_rows(const Network& network, size_t experts, int64_t batch, double weight_decay) {
  const c10::AutoGradMode with_gradients(true);
  const at::Tensor having = having_tokens(network, experts, batch);
  Tfidf made{idf_of(network, experts, having), {}};
  // What no example has says nothing of any, and most of a large vocabulary is so.
  const at::Tensor used = having.nonzero().squeeze(1);
  std::vector<at::Tensor> texts;
  std::vector<int64_t> owners;
  for (size_t i = 0; i < experts; ++i)
    for_each_vector(network, i, batch, made.idf, [&](const at::Tensor& vectors) {
      texts.push_back(vectors.index_select(1, used));
      owners.insert(owners.end(), static_cast<size_t>(vectors.size(0)), static_cast<int64_t>(i));
    });
  const at::Tensor inputs = at::cat(texts), targets = at::tensor(owners, at::kLong);
  const auto count = static_cast<int64_t>(experts);
  at::Tensor rows = at::zeros({count, used.numel()}, at::kDouble).requires_grad_(true);
  torch::optim::LBFGS optimizer({rows}, torch::optim::LBFGSOptions(1)
                                            .max_iter(1000)
                                            .tolerance_grad(1e-9)
                                            .tolerance_change(1e-15)
                                            .line_search_fn("strong_wolfe"));
  const auto loss = [&] {
    optimizer.zero_grad();
    const at::Tensor total = at::cross_entropy_loss(at::mm(inputs, rows.t()), targets) +
                             weight_decay / 2 * rows.square().sum();
    total.backward();
    return total;
  };
  optimizer.step(loss);
  const double reached = loss().item<double>();
  if (!std::isfinite(reached)) data_error("the router's loss is {}, which is not finite", reached);
  made.rows = at::zeros({count, made.idf.numel()}, at::kDouble).index_copy_(1, used, rows.detach());
  return made;
}

}  // namespace assay
