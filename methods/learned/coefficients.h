/// Models that are sums of tensors times coefficients, and the coefficients' gradients. These come
/// from the gradient of the merged weights, so that no graph is kept of how the weights were made.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/method/method.h"

namespace assay {

/// Weights that are made of what a method learns by gradients.
class LearnedWeights {
 public:
  virtual ~LearnedWeights() = default;
  /// The merged weights, float32. With `leaves` they require gradients.
  virtual StateDict weights(bool leaves) const = 0;
  /// Adds to the gradients of what is learned what follows from those of the weights. Parameters of
  /// tensors that the network does not use get none.
  virtual void add_gradients(const StateDict& weights) const = 0;
  /// Reports what was learned.
  virtual void report(const TensorParts& reports) const = 0;
};

/// Adds to the gradient of what is learned, which may have none yet.
void add_to_gradient(const at::Tensor& parameter, const at::Tensor& gradient);

/// Which tensors share their coefficients: all, those of a layer, or none.
enum class Sharing { kTask, kLayer, kTensor };

inline constexpr std::string_view kSharingHelp =
    "one coefficient per expert (task), per expert and transformer block, with modules outside of "
    "blocks on their own (block), or per expert and tensor";

/// Of which tensors share coefficients: equal names do.
std::string sharing_key(Sharing sharing, const Evidence& evidence, const std::string& tensor);

/// One tensor of the merged model: base + c_0 terms[0] + c_1 terms[1] + ...
struct LearnedTensor {
  std::string name;
  size_t group = 0;   ///< whose coefficients it has
  at::Tensor base{};  ///< undefined: none
  std::vector<at::Tensor> terms{};
  /// The shape, for broadcasting, of a term's coefficients; empty: one for the whole tensor.
  std::vector<int64_t> shape{};
  /// In place of a shape: a coefficient for so many entries of the flattened tensor after each
  /// other, the last for those that are left; 0: none.
  int64_t chunk = 0;
};

/// Coefficients in groups, and the tensors that they make.
class LearnedModel : public LearnedWeights {
 public:
  /// What a coefficient is of the value that is learned; empty: the same.
  using Constraint = at::Tensor (*)(const at::Tensor& raw);

  explicit LearnedModel(Constraint constraint = nullptr) : constraint_(constraint) {}

  /// Adds coefficients for each term, `initial`, [terms, width], and returns their group. Those
  /// that are not trained stay as they are and have no constraint.
  size_t add_group(const at::Tensor& initial, bool trained = true);
  /// The group of this key: a new one the first time, one coefficient of this value for each term.
  size_t group_of(const std::string& key, size_t terms, double initial);
  void add(LearnedTensor tensor) { tensors_.push_back(std::move(tensor)); }

  /// What an optimiser changes: float64 [terms, width] of each trained group, that require
  /// gradients.
  std::vector<at::Tensor> parameters() const;
  /// The coefficients [terms, width] of a group, as they are now. Gradients reach its parameters.
  at::Tensor coefficients(size_t group) const;
  /// What is learned of a group, before the constraint.
  const at::Tensor& raw(size_t group) const { return groups_[group].raw; }
  /// The mean of all trained coefficients.
  double mean_coefficient() const;

  StateDict weights(bool leaves) const override;
  void add_gradients(const StateDict& weights) const override;
  void report(const TensorParts& reports) const override {
    reports.report("coefficient_mean", mean_coefficient());
  }

 private:
  struct Group {
    at::Tensor raw;
    bool trained;
  };

  Constraint constraint_;
  std::vector<Group> groups_;
  std::map<std::string, size_t> keys_;
  std::vector<LearnedTensor> tensors_;
};

}  // namespace assay
