#include "methods/learned/coefficients.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "methods/layer_key.h"

namespace assay {
namespace {

bool has_one(const LearnedTensor& tensor) { return tensor.shape.empty() && tensor.chunk == 0; }

/// A term's coefficients [width] for multiplying its values.
at::Tensor spread(const LearnedTensor& tensor, const at::Tensor& coefficients,
                  const at::Tensor& values) {
  if (tensor.chunk == 0) return coefficients.reshape(tensor.shape);
  return coefficients.repeat_interleave(tensor.chunk)
      .narrow(0, 0, values.numel())
      .reshape(values.sizes());
}

/// The merged values of a tensor with the coefficients [terms, width].
at::Tensor combine(const LearnedTensor& tensor, const at::Tensor& coefficients) {
  if (has_one(tensor)) {
    const auto values = coefficients.accessor<double, 2>();
    std::vector<at::Tensor> tensors;
    std::vector<double> factors;
    if (tensor.base.defined()) {
      tensors.push_back(tensor.base);
      factors.push_back(1);
    }
    for (size_t i = 0; i < tensor.terms.size(); ++i) {
      tensors.push_back(tensor.terms[i]);
      factors.push_back(values[static_cast<int64_t>(i)][0]);
    }
    return weighted_sum(tensors, factors);
  }
  at::Tensor sum;
  for (size_t i = 0; i < tensor.terms.size(); ++i) {
    const at::Tensor own =
        coefficients[static_cast<int64_t>(i)].to(tensor.terms[i].device(), at::kFloat);
    const at::Tensor product =
        tensor.terms[i].to(at::kFloat) * spread(tensor, own, tensor.terms[i]);
    if (sum.defined())
      sum.add_(product);
    else
      sum = product;
  }
  return tensor.base.defined() ? sum.add_(tensor.base) : sum;
}

/// Of a term's coefficients, float64 [width], from the gradient of the merged values.
at::Tensor gradient_of_term(const LearnedTensor& tensor, const at::Tensor& gradient, size_t term) {
  if (has_one(tensor))
    return at::full({1}, dot_products({gradient, tensor.terms[term]})(0, 1), at::kDouble);
  const at::Tensor products = gradient * tensor.terms[term];
  if (tensor.chunk > 0) {
    const int64_t width = (products.numel() + tensor.chunk - 1) / tensor.chunk;
    const at::Tensor padded =
        at::constant_pad_nd(products.flatten(), {0, width * tensor.chunk - products.numel()});
    return padded.reshape({width, tensor.chunk}).sum(1, false, at::kDouble).cpu();
  }
  std::vector<int64_t> summed;
  for (int64_t d = 0; d < products.dim(); ++d)
    if (tensor.shape[static_cast<size_t>(d)] == 1) summed.push_back(d);
  const at::Tensor sums = summed.empty() ? products : products.sum(summed, true, at::kDouble);
  return sums.to(at::kCPU, at::kDouble).flatten();
}

}  // namespace

void add_to_gradient(const at::Tensor& parameter, const at::Tensor& gradient) {
  at::Tensor& sum = parameter.mutable_grad();
  sum = sum.defined() ? sum + gradient : gradient;
}

std::string sharing_key(Sharing sharing, const Evidence& evidence, const std::string& tensor) {
  if (sharing == Sharing::kTask) return "";
  return sharing == Sharing::kLayer ? layer_key(evidence, tensor) : tensor;
}

size_t LearnedModel::add_group(const at::Tensor& initial, bool trained) {
  groups_.push_back({initial.to(at::kDouble).clone().requires_grad_(trained), trained});
  return groups_.size() - 1;
}

size_t LearnedModel::group_of(const std::string& key, size_t terms, double initial) {
  const auto [found, is_new] = keys_.emplace(key, groups_.size());
  if (is_new) add_group(at::full({static_cast<int64_t>(terms), 1}, initial, at::kDouble));
  return found->second;
}

std::vector<at::Tensor> LearnedModel::parameters() const {
  std::vector<at::Tensor> parameters;
  for (const Group& group : groups_)
    if (group.trained) parameters.push_back(group.raw);
  return parameters;
}

at::Tensor LearnedModel::coefficients(size_t group) const {
  const auto& [raw, trained] = groups_[group];
  return constraint_ && trained ? constraint_(raw) : raw;
}

double LearnedModel::mean_coefficient() const {
  const c10::NoGradGuard no_gradients;
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (!groups_[i].trained) continue;
    sum += coefficients(i).sum().item<double>();
    count += groups_[i].raw.numel();
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

StateDict LearnedModel::weights(bool leaves) const {
  const c10::NoGradGuard no_gradients;
  std::vector<at::Tensor> values;
  for (size_t i = 0; i < groups_.size(); ++i) values.push_back(coefficients(i));
  StateDict weights;
  for (const LearnedTensor& tensor : tensors_)
    weights[tensor.name] = combine(tensor, values[tensor.group]).requires_grad_(leaves);
  return weights;
}

void LearnedModel::add_gradients(const StateDict& weights) const {
  std::vector<at::Tensor> gradients(groups_.size());
  for (const LearnedTensor& tensor : tensors_) {
    const at::Tensor& of_weights = weights.at(tensor.name).grad();
    if (!groups_[tensor.group].trained || !of_weights.defined()) continue;
    const c10::NoGradGuard no_gradients;
    const at::Tensor gradient = of_weights.contiguous();
    at::Tensor& sums = gradients[tensor.group];
    if (!sums.defined()) sums = at::zeros_like(groups_[tensor.group].raw);
    for (size_t i = 0; i < tensor.terms.size(); ++i)
      sums[static_cast<int64_t>(i)] += gradient_of_term(tensor, gradient, i);
  }
  for (size_t i = 0; i < groups_.size(); ++i)
    if (gradients[i].defined()) coefficients(i).backward(gradients[i]);
}

}  // namespace assay
