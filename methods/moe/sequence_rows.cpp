#include "methods/moe/sequence_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

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
  at::Tensor having;  // examples that have a token
  double examples = 0;
  for (size_t i = 0; i < experts; ++i)
    for_each_count(network, i, batch, [&](const at::Tensor& counts) {
      const at::Tensor own = (counts > 0).to(at::kDouble).sum(0);
      having = having.defined() ? having + own : own;
      examples += static_cast<double>(counts.size(0));
    });
  Tfidf made;
  made.idf = at::log((1 + examples) / (1 + having)) + 1;
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < experts; ++i) {
    at::Tensor sum = at::zeros_like(made.idf);
    for_each_count(network, i, batch, [&](const at::Tensor& counts) {
      const at::Tensor weighted = counts * made.idf;
      sum = sum + (weighted / weighted.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-30)).sum(0);
    });
    rows.push_back(unit(sum));
  }
  made.rows = at::stack(rows);
  return made;
}

}  // namespace assay
