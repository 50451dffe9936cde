/// TALL masks, arXiv:2405.07813: of a multi-task vector, the entries that matter to one expert.
#pragma once

#include <string>
#include <vector>

#include "harness/kernels/sums/weighted_sum.h"
#include "methods/dense/part_deltas.h"
#include "methods/dense/trim_elect.h"

namespace assay {

struct TallMasks {
  enum class TaskVector { kSum, kTies };

  TallMasks() {
    ties.reduce = TrimElect::Agree::kSum;  // as published, so that both task vectors are sums
  }

  TaskVector task_vector = TaskVector::kSum;
  TrimElect ties;
  double lambda = 0.4;
  std::vector<double> lambdas;

  void parameters(auto&& p) {
    p(task_vector, {.name = "task_vector",
                    .choices = {"sum", "ties"},
                    .help = "the multi-task vector: the sum of the task vectors, or the sum of the "
                            "entries that agree after TIES' trim and election"});
    p(ties.density, {.name = "density",
                     .range = {0, 1},
                     .help = "share of each task vector that TIES keeps; for ties alone"});
    p(lambda, {.name = "lambda",
               .range = {0, 10},
               .sweep = {0.2, 0.4, 0.6},
               .help = "an expert's mask has an entry where its own delta is larger than lambda "
                       "times the distance of the multi-task vector from it"});
    p(lambdas,
      {.name = "lambdas", .range = {0, 10}, .help = "a lambda per expert; empty: lambda for all"});
  }

  void prepare(const ModelJob& job) {
    check_list("lambdas", lambdas, job);
    if (task_vector == TaskVector::kTies) ties.prepare(job);
  }
  TrimElect::Trimmed measure(const TensorParts& tensor) const {
    return task_vector == TaskVector::kTies ? ties.measure(tensor) : TrimElect::Trimmed{};
  }

  /// The multi-task vector of a part.
  at::Tensor vector(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    std::vector<at::Tensor> deltas;
    for (size_t i = 0; i < part.experts.size(); ++i) deltas.push_back(part_delta(part, i));
    if (task_vector == TaskVector::kSum) return scaled_sum(deltas, 1.0);
    // The same merge of the deltas alone, without rounding to the dtype of the result.
    TensorJob alone;
    alone.name = part.name;
    alone.base = at::zeros_like(deltas.front());
    alone.experts = std::move(deltas);
    alone.offset = part.offset;
    return ties.merge(alone, trimmed, 1.0);
  }

  /// Whether an expert's mask has the entries of a multi-task vector.
  at::Tensor mask(const TensorJob& part, const at::Tensor& vector, size_t expert) const {
    const at::Tensor delta = part_delta(part, expert);
    const double factor = lambdas.empty() ? lambda : lambdas[expert];
    return delta.abs() > (vector - delta).abs_().mul_(factor);
  }
};

}  // namespace assay
