#include "methods/permute/layer_regression.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "methods/adam.h"
#include "methods/data/layer_fit.h"

namespace assay {
namespace {

/// A layer and its weights as a matrix [outputs, inputs], with its bias as the last column.
struct FittedLayer {
  LayerInfo info;
  int64_t repeat = 1;  ///< positions of a convolution's kernel
  bool bias = false;
  std::vector<at::Tensor> models;        ///< their own weights, likewise
  at::Tensor start;                      ///< float64, of the partial merge
  PartialMerge::Blocks outputs, inputs;  ///< of the result, columns of the bias not counted
  at::Tensor gram, cross;                ///< float64 [columns, columns], [columns, outputs]
  double outputs_squared = 0;            ///< sum over rows
  int64_t rows = 0;                      ///< of data
  int64_t bytes() const {
    return start.size(1) * (start.size(1) + start.size(0)) * static_cast<int64_t>(sizeof(double));
  }
};

/// The weight as [outputs, inputs] and its bias, if it has one, float64.
at::Tensor matrix_of(const StateDict& weights, const LayerInfo& layer, bool bias) {
  const at::Tensor& weight = weights.at(layer.weight);
  at::Tensor matrix = (layer.in_out ? weight.t() : weight.flatten(1)).to(at::kDouble);
  if (bias) matrix = at::cat({matrix, weights.at(layer.bias).to(at::kDouble).unsqueeze(1)}, 1);
  return matrix.contiguous();
}

std::vector<FittedLayer> layers_of(const PartialMerge& merge, const ModelJob& job,
                                   const std::vector<StateDict>& models, const StateDict& result) {
  std::vector<FittedLayer> layers;
  for (const std::string& name : job.names()) {
    const LayerInfo* info = job.evidence().layer(name);
    if (!info) continue;
    FittedLayer layer;
    layer.info = *info;
    const at::Tensor& of_model = models.front().at(name);
    const int64_t in_axis = info->in_out ? 0 : 1, out_axis = 1 - in_axis;
    layer.repeat = of_model.numel() / (of_model.size(0) * of_model.size(1));
    layer.bias = !info->bias.empty() && result.contains(info->bias);
    layer.start = matrix_of(result, *info, layer.bias);
    for (const StateDict& model : models)
      layer.models.push_back(matrix_of(model, *info, layer.bias));
    layer.outputs = merge.blocks(name, out_axis, of_model.size(out_axis));
    layer.inputs = merge.blocks(name, in_axis, of_model.size(in_axis));
    const auto widen = [&](std::pair<int64_t, int64_t>& block) {
      block.first *= layer.repeat;
      block.second *= layer.repeat;
    };
    widen(layer.inputs.merged);
    for (auto& block : layer.inputs.own) widen(block);
    layers.push_back(std::move(layer));
  }
  std::sort(layers.begin(), layers.end(),
            [](const FittedLayer& a, const FittedLayer& b) { return a.info.depth < b.info.depth; });
  return layers;
}

/// Vectors, and a 1 for the bias.
at::Tensor with_one(const at::Tensor& x, bool bias) {
  const at::Tensor values = x.to(at::kDouble);
  return bias ? at::cat({values, at::ones({x.size(0), 1}, values.options())}, 1) : values;
}

/// Adds what a layer read in every network.
void add_inputs(const PartialMerge& merge, const std::vector<at::Tensor>& inputs,
                FittedLayer& layer) {
  const auto same_rows = [&](const at::Tensor& x) { return x.size(0) == inputs[0].size(0); };
  // Experts of a mixture that the networks send other tokens to have nothing in common.
  if (inputs.size() != layer.models.size() || inputs[0].size(0) == 0 ||
      !std::all_of(inputs.begin(), inputs.end(), same_rows))
    return;
  const int64_t in_axis = layer.info.in_out ? 0 : 1;
  const at::Tensor x =
      with_one(merge.values(layer.info.weight, in_axis, layer.repeat, inputs), layer.bias);
  // In float64 from the inputs: what the networks gave is rounded, which a fit would amplify.
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < inputs.size(); ++i)
    outputs.push_back(at::mm(with_one(inputs[i], layer.bias), layer.models[i].t()));
  const at::Tensor y = merge.values(layer.info.weight, 1 - in_axis, 1, outputs);
  layer.gram += at::mm(x.t(), x);
  layer.cross += at::mm(x.t(), y);
  layer.rows += y.size(0);
  layer.outputs_squared += y.square().sum().item<double>();
}

/// Adds what the layers of all networks read on some examples.
void add_examples(const PartialMerge& merge, const MatchingData& data,
                  const std::vector<StateDict>& models, size_t expert, int64_t first, int64_t count,
                  const std::vector<FittedLayer*>& layers) {
  std::vector<std::vector<at::Tensor>> inputs(layers.size());
  for (const StateDict& model : models)
    data.network.observe(
        model, expert, first, count,
        [&](const std::string& weight, const std::function<at::Tensor(LayerValue)>& value) {
          for (size_t i = 0; i < layers.size(); ++i)
            if (layers[i]->info.weight == weight) inputs[i].push_back(value(LayerValue::kInputs));
        });
  for (size_t i = 0; i < layers.size(); ++i) {
    add_inputs(merge, inputs[i], *layers[i]);
    inputs[i].clear();
  }
}

/// The columns that a block of rows reads.
at::Tensor columns_of(const FittedLayer& layer, std::optional<size_t> owner) {
  std::vector<at::Tensor> pieces;
  const auto add = [&](const std::pair<int64_t, int64_t>& block) {
    pieces.push_back(at::arange(block.first, block.first + block.second, at::kLong));
  };
  add(layer.inputs.merged);
  for (size_t i = 0; i < layer.inputs.own.size(); ++i)
    if (!owner || *owner == i) add(layer.inputs.own[i]);
  if (layer.bias) add({layer.start.size(1) - 1, 1});
  return at::cat(pieces).to(layer.start.device());
}

/// The squared error of these weights, summed over rows of data and outputs.
double squared_error(const FittedLayer& layer, const at::Tensor& weights) {
  const double fitted = at::mm(weights, layer.gram).mul_(weights).sum().item<double>();
  const double both = layer.cross.t().mul(weights).sum().item<double>();
  return std::max(0.0, fitted - 2 * both + layer.outputs_squared);
}

/// The difference from the start for rows [first, first + count) that read these columns.
at::Tensor closed_form(const FittedLayer& layer, std::pair<int64_t, int64_t> rows,
                       const at::Tensor& columns, double ridge) {
  const at::Tensor start = layer.start.narrow(0, rows.first, rows.second).index_select(1, columns);
  NormalEquations equations{layer.gram.index_select(0, columns).index_select(1, columns), {}};
  equations.right =
      layer.cross.index_select(0, columns).narrow(1, rows.first, rows.second).t().contiguous() -
      at::mm(start, equations.sum);
  const at::Tensor diagonal = equations.sum.diagonal();
  diagonal.add_(diagonal.mean() * ridge);
  SolveNotes notes;
  return solve(equations, layer.info.weight, notes);
}

/// Adam on the mean squared error of all rows, its rate falling to 0 along a cosine.
at::Tensor by_adam(const FittedLayer& layer, const at::Tensor& allowed,
                   const RegressionOptions& options) {
  at::Tensor weights = layer.start.clone();
  Adam adam(weights);
  const double share =
      2.0 / (static_cast<double>(layer.rows) * static_cast<double>(weights.size(0)));
  for (int64_t step = 0; step < options.steps; ++step) {
    const at::Tensor gradient =
        (at::mm(weights, layer.gram) - layer.cross.t()).mul_(allowed).mul_(share);
    const double done = static_cast<double>(step) / static_cast<double>(options.steps);
    adam.step(weights, gradient,
              options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done)));
  }
  return weights;
}

at::Tensor fitted(const FittedLayer& layer, const RegressionOptions& options) {
  struct Block {
    std::pair<int64_t, int64_t> rows;
    at::Tensor columns;
  };
  std::vector<Block> blocks;
  if (layer.outputs.merged.second > 0)
    blocks.push_back({layer.outputs.merged, columns_of(layer, std::nullopt)});
  for (size_t i = 0; i < layer.outputs.own.size(); ++i)
    if (layer.outputs.own[i].second > 0)
      blocks.push_back({layer.outputs.own[i], columns_of(layer, i)});
  if (options.solver == RegressionSolver::kAdam) {
    at::Tensor allowed = at::zeros_like(layer.start);
    for (const Block& block : blocks)
      allowed.narrow(0, block.rows.first, block.rows.second).index_fill_(1, block.columns, 1);
    return by_adam(layer, allowed, options);
  }
  at::Tensor weights = layer.start.clone();
  for (const Block& block : blocks)
    weights.narrow(0, block.rows.first, block.rows.second)
        .index_add_(1, block.columns, closed_form(layer, block.rows, block.columns, options.ridge));
  return weights;
}

void put(const FittedLayer& layer, const at::Tensor& weights, StateDict& result) {
  at::Tensor& stored = result.at(layer.info.weight);
  const int64_t columns = weights.size(1) - (layer.bias ? 1 : 0);
  if (layer.bias) result.at(layer.info.bias) = weights.select(1, columns).contiguous();
  stored = stored_weight(weights.narrow(1, 0, columns), layer.info, stored.sizes());
}

/// Passes over the data whose matrices fit.
std::vector<std::vector<FittedLayer*>> passes_of(std::vector<FittedLayer>& layers, int64_t limit,
                                                 RegressionNotes& notes) {
  std::vector<std::vector<FittedLayer*>> passes;
  int64_t bytes = 0;
  for (FittedLayer& layer : layers) {
    if (layer.bytes() > limit)
      data_error(
          "the Gram matrices of '{}' take {} bytes for {} inputs and {} outputs, and "
          "'gram_mib' allows {}",
          layer.info.weight, layer.bytes(), layer.start.size(1), layer.start.size(0), limit);
    if (passes.empty() || bytes + layer.bytes() > limit) {
      passes.emplace_back();
      bytes = 0;
    }
    passes.back().push_back(&layer);
    bytes += layer.bytes();
    notes.gram_bytes = std::max(notes.gram_bytes, bytes);
  }
  notes.passes = static_cast<int64_t>(passes.size());
  return passes;
}

}  // namespace

RegressionNotes fit_layers(const PartialMerge& merge, const ModelJob& job, const MatchingData& data,
                           const std::vector<StateDict>& models, const RegressionOptions& options,
                           StateDict& result) {
  const c10::NoGradGuard no_gradients;
  const OneThread one;
  RegressionNotes notes;
  std::vector<FittedLayer> layers = layers_of(merge, job, models, result);
  double before = 0, after = 0;
  for (const auto& pass : passes_of(layers, options.gram_bytes, notes)) {
    for (FittedLayer* layer : pass) {
      const int64_t columns = layer->start.size(1);
      layer->gram = at::zeros({columns, columns}, layer->start.options());
      layer->cross = at::zeros({columns, layer->start.size(0)}, layer->start.options());
    }
    for (size_t expert = 0; expert < data.examples.size(); ++expert)
      for (int64_t first = 0; first < data.examples[expert]; first += data.batch)
        add_examples(merge, data, models, expert, first,
                     std::min(data.batch, data.examples[expert] - first), pass);
    for (FittedLayer* layer : pass) {
      if (layer->outputs_squared > 0) {
        const at::Tensor weights = fitted(*layer, options);
        before += squared_error(*layer, layer->start) / layer->outputs_squared;
        after += squared_error(*layer, weights) / layer->outputs_squared;
        put(*layer, weights, result);
      }
      layer->gram = layer->cross = at::Tensor();
    }
  }
  notes.loss_before = before / static_cast<double>(layers.size());
  notes.loss_after = after / static_cast<double>(layers.size());
  return notes;
}

}  // namespace assay
