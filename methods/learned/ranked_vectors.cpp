#include "methods/learned/ranked_vectors.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"

namespace assay {
namespace {

at::Tensor binary(const at::Tensor& logits) { return (logits > 0).to(at::kDouble); }

}  // namespace

void RankedVectors::add(RankedTensor tensor, int64_t kept) {
  const auto experts = static_cast<int64_t>(tensor.components.size() + tensor.vectors.size());
  Learned learned{std::move(tensor), {}, {}};
  learned.coefficients = at::full({experts}, coefficient_, at::kDouble).requires_grad_(true);
  for (const Svd& svd : learned.tensor.components) {
    at::Tensor logits = at::full({svd.count()}, -kInitialLogit, svd.s.options());
    logits.narrow(0, 0, std::min(kept, svd.count())).fill_(kInitialLogit);
    learned.logits.push_back(logits.requires_grad_(true));
  }
  learned_.push_back(std::move(learned));
}

std::vector<at::Tensor> RankedVectors::parameters() const {
  std::vector<at::Tensor> parameters;
  for (const Learned& learned : learned_) {
    parameters.push_back(learned.coefficients);
    parameters.insert(parameters.end(), learned.logits.begin(), learned.logits.end());
  }
  return parameters;
}

StateDict RankedVectors::weights(bool leaves) const {
  const c10::NoGradGuard no_gradients;
  StateDict weights;
  for (const Learned& learned : learned_) {
    const auto& [name, origin, components, vectors] = learned.tensor;
    const double* const factors = learned.coefficients.const_data_ptr<double>();
    at::Tensor merged;
    if (components.empty()) {
      std::vector<at::Tensor> tensors{origin};
      std::vector<double> multipliers{1};
      tensors.insert(tensors.end(), vectors.begin(), vectors.end());
      multipliers.insert(multipliers.end(), factors, factors + vectors.size());
      merged = weighted_sum(tensors, multipliers);
    } else {
      merged = origin.to(at::kDouble).flatten(1);
      for (size_t i = 0; i < components.size(); ++i) {
        const Svd& svd = components[i];
        const at::Tensor values = svd.s * binary(learned.logits[i]) * factors[i];
        merged = merged + Svd{svd.u, values, svd.v}.product();
      }
      merged = merged.reshape(origin.sizes()).to(at::kFloat);
    }
    weights[name] = merged.requires_grad_(leaves);
  }
  return weights;
}

void RankedVectors::add_gradients(const StateDict& weights) const {
  const c10::NoGradGuard no_gradients;
  for (const Learned& learned : learned_) {
    const RankedTensor& tensor = learned.tensor;
    const at::Tensor& of_weights = weights.at(tensor.name).grad();
    if (!of_weights.defined()) continue;
    const at::Tensor gradient = of_weights.contiguous();
    const at::Tensor of_coefficients = at::zeros_like(learned.coefficients);
    double* const sums = of_coefficients.mutable_data_ptr<double>();
    for (size_t i = 0; i < tensor.vectors.size(); ++i)
      sums[i] = dot_products({gradient, tensor.vectors[i]})(0, 1);
    for (size_t i = 0; i < tensor.components.size(); ++i) {
      const Svd& svd = tensor.components[i];
      const at::Tensor& logits = learned.logits[i];
      // What the loss gains from each component: s_k u_k^T G v_k.
      const at::Tensor gains =
          (svd.u * gradient.to(at::kDouble).flatten(1).mm(svd.v)).sum(0) * svd.s;
      sums[i] = (gains * binary(logits)).sum().item<double>();
      const at::Tensor soft = (logits / temperature_).sigmoid();
      const double factor = learned.coefficients.const_data_ptr<double>()[i];
      add_to_gradient(logits, gains * factor * soft * (1 - soft) / temperature_);
    }
    add_to_gradient(learned.coefficients, of_coefficients);
  }
}

void RankedVectors::report(const TensorParts& reports) const {
  const c10::NoGradGuard no_gradients;
  double coefficients = 0, kept = 0;
  int64_t count = 0, components = 0;
  for (const Learned& learned : learned_) {
    coefficients += learned.coefficients.sum().item<double>();
    count += learned.coefficients.numel();
    for (const at::Tensor& logits : learned.logits) {
      kept += binary(logits).sum().item<double>();
      components += logits.numel();
    }
  }
  if (count > 0) reports.report("coefficient_mean", coefficients / static_cast<double>(count));
  if (components > 0) reports.report("kept", kept / static_cast<double>(components));
}

}  // namespace assay
