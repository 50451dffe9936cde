#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/cost.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/layer_inputs.h"
#include "harness/method/running_moments.h"
#include "methods/data/layer_fit.h"

namespace assay {
namespace {

/// Sums over an expert's examples, float64 [inputs + 1, inputs + 1], of what the merged model's
/// layer (x) and the expert's (y) read, each with a 1 for the bias. Undefined where they read
/// nothing in common.
struct InputProducts {
  at::Tensor merged;       ///< x x^T
  at::Tensor with_expert;  ///< y x^T
  at::Tensor expert;       ///< y y^T
};

/// ProDistill: a coefficient for every entry of every task vector, learned layer by layer, so that
/// each layer of the merged model gives on an expert's examples what the expert's own layer gives.
/// The merged layer reads what the merged layers before it make, the expert's what its own do.
///
/// Layers are linear ones and convolutions, those that read one input together; the authors' are
/// transformer blocks. Of such a layer the loss is quadratic in the coefficients, so that Gram
/// matrices hold all that is to know of the data, and each step is on all examples, where the
/// authors take batches. Norms and embeddings keep the coefficients that all begin with; the
/// authors learn the norms within their blocks.
///
/// Memory: all experts as they are stored, the merged model, and of the layers that are learned
/// 8 (5 N + 4) bytes per weight and their Gram matrices, 8 (3 N + 1) bytes per pair of inputs.
struct ProDistill {
  static constexpr MethodInfo info{
      .name = "prodistill",
      .paper = "arXiv:2502.12706 §4",
      .summary =
          "coefficients per entry, learned layer by layer to give what the experts' layers "
          "give",
      .needs = {.base = true, .calibration_inputs = true},
      .identity = R"({"init": 0.5, "steps": 0})",
      .flops =
          "for every input of layers 2 N passes over all examples, and for each layer of n "
          "inputs and m outputs 2 m n^2 and sums of the task vectors per step"};
  double init = 0.3;
  int64_t steps = 400;
  double learning_rate = 0.01;
  int64_t batch = 16;
  Heads heads = Heads::kOthers;

  void parameters(auto&& p) {
    p(init, {.name = "init",
             .range = {-10, 10},
             .help = "what all coefficients begin with, and what those of the other tensors stay"});
    p(steps, {.name = "steps",
              .range = {0, 1000000},
              .help = "of Adam, for each layer, on all examples; the authors' 100 epochs of 512 "
                      "images in batches of 128 are 400"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2},
                      .help = "Adam's, with betas 0.9 and 0.999"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a pass"});
    heads_parameter(heads, p);
  }

  StateDict merge_model(const ModelJob& job) const;

 private:
  void fit(const ModelJob& job, const LayerInfo& layer, const std::vector<StateDict>& own,
           const std::vector<InputProducts>& products, StateDict& merged) const;
  at::Tensor learned(const at::Tensor& base, const std::vector<at::Tensor>& vectors,
                     const at::Tensor& gram, const at::Tensor& cross) const;
};

/// Layers that read one input, in the order in which they run.
using SharedInput = std::vector<LayerInfo>;

std::vector<SharedInput> shared_inputs(const ModelJob& job, Heads heads) {
  std::vector<LayerInfo> layers;
  for (const std::string& name : job.names())
    if (const LayerInfo* layer = fitted_layer(job.evidence(), name, heads))
      layers.push_back(*layer);
  std::sort(layers.begin(), layers.end(),
            [](const LayerInfo& a, const LayerInfo& b) { return a.depth < b.depth; });
  std::vector<SharedInput> inputs;
  for (LayerInfo& layer : layers) {
    if (inputs.empty() || inputs.back().front().input != layer.input) inputs.emplace_back();
    inputs.back().push_back(std::move(layer));
  }
  return inputs;
}

/// What a layer read in one pass, and a 1 for the bias: float64 [rows, inputs + 1], once for every
/// time that it ran.
std::vector<at::Tensor> rows_read(const LayerInputs& network, const StateDict& weights,
                                  size_t expert, int64_t first, int64_t count,
                                  const std::string& layer) {
  std::vector<at::Tensor> rows;
  network.observe(
      weights, expert, first, count,
      [&](const std::string& weight, const std::function<at::Tensor(LayerValue)>& values) {
        if (weight != layer) return;
        const at::Tensor x = values(LayerValue::kInputs).to(at::kDouble);
        rows.push_back(at::cat({x, at::ones({x.size(0), 1}, x.options())}, 1));
      });
  return rows;
}

InputProducts products_of(const Network& network, const StateDict& merged, const StateDict& own,
                          size_t expert, int64_t batch, const std::string& layer) {
  const LayerInputs& inputs = layer_inputs(network);
  InputProducts sums;
  const auto add = [](at::Tensor& sum, const at::Tensor& product) {
    sum = sum.defined() ? sum + product : product;
  };
  for (int64_t first = 0; first < network.examples(expert); first += batch) {
    const int64_t count = std::min(batch, network.examples(expert) - first);
    const auto x = rows_read(inputs, merged, expert, first, count, layer);
    const auto y = rows_read(inputs, own, expert, first, count, layer);
    for (size_t k = 0; k < std::min(x.size(), y.size()); ++k) {
      // Experts of a mixture that the two networks send other tokens to have nothing in common.
      if (x[k].size(0) != y[k].size(0)) continue;
      add(sums.merged, x[k].t().mm(x[k]));
      add(sums.with_expert, y[k].t().mm(x[k]));
      add(sums.expert, y[k].t().mm(y[k]));
    }
  }
  return sums;
}

/// Weights [outputs, inputs] and the bias as the last column, if there is one, float64.
at::Tensor with_bias(const at::Tensor& weight, const at::Tensor& bias, const LayerInfo& layer) {
  const at::Tensor matrix = (layer.in_out ? weight.t() : weight.flatten(1)).to(at::kDouble);
  return bias.defined() ? at::cat({matrix, bias.to(at::kDouble).unsqueeze(1)}, 1) : matrix;
}

/// Of the differences from the experts' outputs, but for the sum of the squares of these.
double squared_error(const at::Tensor& weights, const at::Tensor& gram, const at::Tensor& cross) {
  return ((weights.mm(gram) - 2 * cross) * weights).sum().item<double>();
}

at::Tensor ProDistill::learned(const at::Tensor& base, const std::vector<at::Tensor>& vectors,
                               const at::Tensor& gram, const at::Tensor& cross) const {
  std::vector<at::Tensor> coefficients;
  for (const at::Tensor& vector : vectors)
    coefficients.push_back(at::full_like(vector, init).requires_grad_(true));
  const auto combined = [&] {
    at::Tensor sum = base;
    for (size_t i = 0; i < vectors.size(); ++i) sum = sum + coefficients[i] * vectors[i];
    return sum;
  };
  torch::optim::Adam adam(coefficients, torch::optim::AdamOptions(learning_rate));
  for (int64_t step = 0; step < steps; ++step) {
    const at::Tensor gradient = 2 * (combined().mm(gram) - cross);
    for (size_t i = 0; i < vectors.size(); ++i)
      coefficients[i].mutable_grad() = gradient * vectors[i];
    adam.step();
    counters::gradient_steps += 1;
  }
  return combined();
}

void ProDistill::fit(const ModelJob& job, const LayerInfo& layer, const std::vector<StateDict>& own,
                     const std::vector<InputProducts>& products, StateDict& merged) const {
  const TensorJob weight = job.tensor(layer.weight);
  const bool biased = !layer.bias.empty() && merged.contains(layer.bias);
  const at::Tensor base =
      with_bias(weight.base, biased ? job.tensor(layer.bias).base : at::Tensor(), layer);
  const int64_t columns = base.size(1);
  const auto of_layer = [&](const at::Tensor& sums) {
    return sums.narrow(0, 0, columns).narrow(1, 0, columns);
  };
  at::Tensor gram = at::zeros({columns, columns}, base.options()), cross = at::zeros_like(base);
  std::vector<at::Tensor> vectors;
  double outputs_squared = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    const at::Tensor expert =
        with_bias(weight.experts[i], biased ? own[i].at(layer.bias) : at::Tensor(), layer);
    vectors.push_back(expert - base);
    if (!products[i].merged.defined()) continue;
    gram += of_layer(products[i].merged);
    cross += expert.mm(of_layer(products[i].with_expert));
    outputs_squared += (expert.mm(of_layer(products[i].expert)) * expert).sum().item<double>();
  }
  const at::Tensor before =
      with_bias(merged.at(layer.weight), biased ? merged.at(layer.bias) : at::Tensor(), layer);
  const at::Tensor weights = learned(base, vectors, gram, cross);
  if (outputs_squared > 0) {
    const TensorParts reports = job.parts(layer.weight);
    reports.report("error_before", 1 + squared_error(before, gram, cross) / outputs_squared);
    reports.report("error_after", 1 + squared_error(weights, gram, cross) / outputs_squared);
  }
  const int64_t inputs = columns - (biased ? 1 : 0);
  merged[layer.weight] = stored_weight(weights.narrow(1, 0, inputs), layer, weight.base.sizes());
  if (biased) merged[layer.bias] = weights.select(1, inputs).to(at::kFloat).contiguous();
}

StateDict ProDistill::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const Network& network = job.evidence().network();
  const size_t experts = job.num_experts();
  StateDict merged;
  std::vector<StateDict> own(experts);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    for (size_t i = 0; i < experts; ++i) own[i][name] = tensor.experts[i];
    std::vector<at::Tensor> tensors{tensor.base};
    tensors.insert(tensors.end(), tensor.experts.begin(), tensor.experts.end());
    std::vector<double> factors(tensors.size(), init);
    factors[0] = 1 - init * static_cast<double>(experts);
    merged[name] = is_running_moment(name) ? mean_moments(tensor) : weighted_sum(tensors, factors);
  }
  for (const SharedInput& layers : shared_inputs(job, heads)) {
    if (steps == 0) break;
    std::vector<InputProducts> products;
    for (size_t i = 0; i < experts; ++i)
      products.push_back(products_of(network, merged, own[i], i, batch, layers.front().weight));
    for (const LayerInfo& layer : layers) fit(job, layer, own, products, merged);
  }
  return merged;
}

ASSAY_METHOD(ProDistill)

}  // namespace
}  // namespace assay
