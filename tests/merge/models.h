/// Small models in memory for tests of kernels, methods and merges.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "harness/core/philox.h"
#include "harness/merge/merge.h"

namespace assay::testing {

inline std::shared_ptr<const TensorSource> source(const std::string& label, StateDict tensors) {
  return std::make_shared<MemorySource>(label, std::move(tensors));
}

/// Values in [-1, 1) that depend on the key and the position alone.
inline at::Tensor noise(at::IntArrayRef shape, uint64_t key) {
  at::Tensor out = at::empty(shape, at::kFloat);
  float* values = out.mutable_data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i)
    values[i] = 2 * philox_uniform(key, static_cast<uint64_t>(i)) - 1;
  return out;
}

/// Of float32 results whose values are near 1.
inline constexpr double kTolerance = 1e-6;

inline at::Tensor matrix(const std::vector<float>& values) {  // [2, 4], as the golden vectors are
  return at::tensor(values).reshape({2, 4});
}
inline at::Tensor two_rows(const std::vector<float>& values) {  // [2, 2]
  return at::tensor(values).reshape({2, 2});
}

/// Base and task vectors of the golden vectors: one tensor "w" of shape [2, 4].
inline at::Tensor golden_base() { return matrix({1, -2, .5f, 0, .25f, 3, -1, 2}); }
inline std::vector<at::Tensor> golden_deltas() {
  return {matrix({.4f, -.1f, .03f, 0, -.2f, .5f, .01f, -.3f}),
          matrix({-.2f, -.3f, .02f, .1f, -.6f, .05f, -.4f, .3f}),
          matrix({.1f, .2f, -.5f, -.1f, .3f, -.05f, 0, .25f})};
}

/// Experts named "expert 0", ... that hold one tensor "w" each.
inline MergeInputs one_tensor_inputs(const at::Tensor& base,
                                     const std::vector<at::Tensor>& experts) {
  MergeInputs inputs;
  if (base.defined()) inputs.base = source("base", {{"w", base}});
  for (size_t i = 0; i < experts.size(); ++i)
    inputs.experts.push_back(source("expert " + std::to_string(i), {{"w", experts[i]}}));
  return inputs;
}

/// The golden base plus deltas are no exact floats, which matters where magnitudes tie. Experts
/// over a base of zeros keep the deltas exact.
inline MergeInputs golden_inputs() {
  std::vector<at::Tensor> experts;
  for (const at::Tensor& delta : golden_deltas()) experts.push_back(golden_base() + delta);
  return one_tensor_inputs(golden_base(), experts);
}
inline MergeInputs golden_delta_inputs() {
  return one_tensor_inputs(at::zeros({2, 4}), golden_deltas());
}

inline StateDict merge(const std::string& ref, const Json& parameters, const MergeInputs& inputs,
                       MergeReport* report = nullptr) {
  const auto method = make_method(ref, JsonReader(parameters, "test"));
  return merge_to_memory(*method, inputs, report);
}

/// The merge of models of one tensor.
inline at::Tensor merge_one(const std::string& ref, const Json& parameters, const at::Tensor& base,
                            const std::vector<at::Tensor>& experts) {
  return merge(ref, parameters, one_tensor_inputs(base, experts)).at("w");
}
/// The merge of task vectors over a base of zeros.
inline at::Tensor merge_deltas(const std::string& ref, const Json& parameters,
                               const std::vector<at::Tensor>& deltas, uint64_t seed = 0) {
  MergeInputs inputs = one_tensor_inputs(at::zeros_like(deltas.front()), deltas);
  inputs.seed = seed;
  return merge(ref, parameters, inputs).at("w");
}

/// Parameters of a modifier of this method.
inline Json applied_to(const Json& method, Json parameters = Json::object()) {
  parameters["of"] = method;
  return parameters;
}

/// The same names, dtypes, shapes and bytes.
inline bool same_bytes(const StateDict& a, const StateDict& b) {
  return content_hash(MemorySource("a", a)) == content_hash(MemorySource("b", b));
}

/// The largest absolute difference.
inline double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (a.numel() == 0) return 0;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// The largest distance of two tensors of the same name.
inline double model_distance(const StateDict& a, const StateDict& b) {
  double most = 0;
  for (const auto& [name, tensor] : a) most = std::max(most, distance(tensor, b.at(name)));
  return most;
}

/// In float64.
inline StateDict doubled(StateDict tensors) {
  for (auto& [unused, tensor] : tensors) tensor = tensor.to(at::kDouble);
  return tensors;
}

/// at::set_num_threads for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace assay::testing
