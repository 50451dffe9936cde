/// What a merged model is compared with when it imitates experts: their scores on their own
/// examples.
#pragma once

#include <ATen/core/Tensor.h>

#include "methods/learned/descent.h"

namespace assay {

/// Scores of some rows, [rows, kept], and of which classes they are; undefined: of all, in order.
struct ExpertScores {
  at::Tensor scores, classes;
};

/// Only the highest `top_k` scores of each row; 0: all.
ExpertScores highest(const at::Tensor& scores, int64_t top_k);

/// An expert's scores of a batch from the statistic 'expert_logits'. DataError where it is of other
/// examples than the network's.
class CachedScores {
 public:
  CachedScores(std::shared_ptr<const TensorSource> statistic, int64_t examples);
  ExpertScores read(ExampleBatch batch, at::Device device) const;

 private:
  std::shared_ptr<const TensorSource> statistic_;
  at::Tensor first_rows_;  ///< of each example, and the number of rows
  int64_t kept_;           ///< scores of a row
};

/// The terms of the loss, by their weights; 0: off.
struct ImitationLoss {
  double kl = 1, mse = 0, entropy = 0;
  double temperature = 2;

  /// The loss of a merged model's scores [rows, classes], the mean over rows, and its gradient with
  /// respect to them. Equal scores have a loss and a gradient of exactly 0, but for the entropy.
  struct Value {
    double loss;
    at::Tensor gradient;
  };
  Value operator()(const at::Tensor& merged, const ExpertScores& expert) const;
};

}  // namespace assay
