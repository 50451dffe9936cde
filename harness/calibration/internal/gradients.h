/// Gradients of scalars with respect to a model's weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/model/architecture.h"

namespace assay {

/// The weights that a model has gradients for, by name: those that require them, each tensor once.
/// A head that is tied to the embedding is not among them; the embedding's gradient is that of
/// both.
class GradientWeights {
 public:
  GradientWeights(const Architecture& architecture, const StateDict& weights);

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<at::Tensor>& weights() const { return weights_; }
  /// Of the scalar `output`, in the order of names(); undefined where it does not depend on the
  /// weight. `keep_graph`: for another call with an output of the same graph.
  std::vector<at::Tensor> gradients(const at::Tensor& output, bool keep_graph = false) const;

 private:
  std::vector<std::string> names_;
  std::vector<at::Tensor> weights_;
};

/// The log-probability of each row's class: [rows] of `log_p` [rows, classes]. UserError for a
/// class that the model does not have.
at::Tensor of_classes(const at::Tensor& log_p, const at::Tensor& classes);

/// The answer whose log-probability is differentiated: the true one, one that is drawn from the
/// model's probabilities, or the most probable one.
enum class Answer { kTrue, kSampled, kArgmax };
/// The sum over rows of that answer's log-probability. `targets`: true classes, for kTrue alone.
/// `example`: of these rows, and `seed`: what decides a draw.
at::Tensor answer_log_probability(const at::Tensor& log_p, Answer answer, const at::Tensor& targets,
                                  uint64_t seed, int64_t example);

/// Sums of tensors by name, in float64. Adding to several names is concurrent.
class NamedSums {
 public:
  void add(const StateDict& values);
  /// The sums divided by `count`. Ends them.
  StateDict means(int64_t count, at::ScalarType dtype);

 private:
  StateDict sums_;
};

}  // namespace assay
