/// What a task evaluates: anything that maps inputs to class scores. Language models also score and
/// generate text: harness/lm/language_predictor.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/model/architecture.h"
#include "harness/model/ensemble_rule.h"

namespace assay {

class Predictor {
 public:
  /// Makes scores of classes, [n, classes], of what a model gives: of features, for instance.
  using Head = std::function<at::Tensor(const at::Tensor& outputs)>;

  virtual ~Predictor() = default;
  /// [n, classes], float32, on device(). Adds n to counters::examples, once per member model.
  virtual at::Tensor logits(const at::Tensor& inputs) const = 0;
  /// The scores of classes, [n, classes], by a head that is no part of the model. Every member of
  /// an ensemble is scored by it: features have no probabilities and no votes.
  virtual at::Tensor scores(const at::Tensor& inputs, const Head& head) const {
    return head(logits(inputs));
  }
  virtual at::Device device() const = 0;
  /// A description for messages: "llama, a decoder-only language model".
  virtual std::string what() const { return "a classifier of inputs"; }
};

/// An architecture with one set of weights.
class ModelPredictor : public Predictor {
 public:
  ModelPredictor(std::shared_ptr<const Architecture> architecture, StateDict weights,
                 at::Device device);
  at::Tensor logits(const at::Tensor& inputs) const override;
  at::Device device() const override { return device_; }
  std::string what() const override;

 private:
  std::shared_ptr<const Architecture> architecture_;
  StateDict weights_;
  at::Device device_;
};

/// The output ensemble: by default the mean of the members' logits (model soups' definition).
class EnsemblePredictor : public Predictor {
 public:
  explicit EnsemblePredictor(std::vector<std::shared_ptr<const Predictor>> members,
                             EnsembleRule rule = EnsembleRule::kUsual);
  at::Tensor logits(const at::Tensor& inputs) const override;
  at::Tensor scores(const at::Tensor& inputs, const Head& head) const override;
  at::Device device() const override { return members_.front()->device(); }
  std::string what() const override { return members_.front()->what(); }

 private:
  std::vector<std::shared_ptr<const Predictor>> members_;
  EnsembleRule rule_;
};

}  // namespace assay
