#include "harness/calibration/statistic.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "harness/core/cost.h"
#include "harness/core/log.h"
#include "harness/core/scratch_memory.h"
#include "harness/kernels/parallel.h"
#include "harness/model/layers_of.h"

namespace assay {
namespace {

struct Span {
  int64_t first, count;
};

std::vector<Span> batches_of(const CalibrationData& data, bool single, int64_t batch_tokens) {
  std::vector<Span> spans;
  for (int64_t first = 0; first < data.size();) {
    const int64_t count = single ? 1 : data.fitting(first, batch_tokens);
    spans.push_back({first, count});
    first += count;
  }
  return spans;
}

// Leaves of the graph. Names of the same tensor, as a tied head, share a leaf.
StateDict with_gradients(const StateDict& weights) {
  std::map<const c10::TensorImpl*, at::Tensor> leaves;
  StateDict result;
  for (const auto& [name, weight] : weights) {
    at::Tensor& leaf = leaves[weight.unsafeGetTensorImpl()];
    if (!leaf.defined()) leaf = weight.detach().requires_grad_(weight.is_floating_point());
    result.emplace(name, leaf);
  }
  return result;
}

// A copy in a file, which lives as long as the tensor.
at::Tensor in_scratch(const at::Tensor& tensor, const std::filesystem::path& folder) {
  at::Tensor values = tensor.cpu().contiguous();
  if (values.nbytes() == 0) return values;
  const auto memory = std::make_shared<ScratchMemory>(folder, values.nbytes());
  std::memcpy(memory->data(), values.const_data_ptr(), values.nbytes());
  memory->release(0, values.nbytes());
  return at::from_blob(
      memory->data(), values.sizes(), [memory](void*) {}, values.options());
}

// One pass over the examples. Of a batch per thread at once.
void observe_all(Statistic& statistic, const NetworkShape& network, const StateDict& weights,
                 const CalibrationData& data, uint64_t seed, const std::vector<Span>& batches,
                 int64_t threads, Progress& progress) {
  const at::Device device = weights.begin()->second.device();
  const auto at_once = static_cast<size_t>(device.is_cpu() ? threads : 1);
  for (size_t begin = 0; begin < batches.size(); begin += at_once) {
    const size_t count = std::min(at_once, batches.size() - begin);
    std::vector<std::any> parts(count);
    concurrently(static_cast<int64_t>(count), [&](int64_t i) {
      const Span& span = batches[begin + static_cast<size_t>(i)];
      StatisticBatch batch{network, weights, moved(data.batch(span.first, span.count), device)};
      if (statistic.labels()) batch.targets = data.targets(span.first, span.count).to(device);
      batch.first = span.first;
      batch.seed = seed;
      parts[static_cast<size_t>(i)] = statistic.observe(batch);
    });
    const c10::NoGradGuard no_gradients;
    for (size_t i = 0; i < count; ++i) {
      statistic.add(std::move(parts[i]));
      progress.advance(batches[begin + i].count);
    }
  }
}

}  // namespace

Registry<StatisticEntry>& statistics() {
  static Registry<StatisticEntry> registry("statistic");
  return registry;
}

std::unique_ptr<Statistic> make_statistic(const std::string& name, const JsonReader& parameters) {
  return statistics().at(name, parameters.where()).make(parameters);
}

StatisticRef complete(const StatisticRef& statistic) {
  const std::string where = fmt::format("the statistic '{}'", statistic.name);
  const auto made = make_statistic(statistic.name, JsonReader(statistic.parameters, where));
  return {statistic.name, made->parameters()};
}

StatisticTensors compute_statistic(Statistic& statistic, const Architecture& architecture,
                                   const StateDict& weights, const CalibrationData& data,
                                   uint64_t seed, int64_t batch_tokens,
                                   const StatisticPasses& passes) {
  const bool gradients = statistic.info().gradients;
  const c10::AutoGradMode mode(gradients);
  const StateDict used = gradients ? with_gradients(weights) : weights;
  const std::vector<Span> batches = batches_of(data, gradients, batch_tokens);
  const std::vector<LayerInfo> all = layers_of(architecture);
  std::vector<std::vector<LayerInfo>> groups = passes.layers;
  if (groups.empty()) groups.push_back(all);

  const OneThreadEach one_thread_each;
  Progress progress(fmt::format("computing {}, examples", statistic.info().name),
                    data.size() * std::ssize(groups));
  StatisticTensors result;
  std::set<std::string> measured;
  for (const std::vector<LayerInfo>& layers : groups) {
    const NetworkShape network{architecture, layers};
    observe_all(statistic, network, used, data, seed, batches, one_thread_each.threads(), progress);
    const c10::NoGradGuard no_gradients;
    StatisticTensors pass = statistic.finish(network, data.size());
    if (groups.size() > 1 && !passes.scratch.empty())
      for (auto& [unused, tensor] : pass.tensors) tensor = in_scratch(tensor, passes.scratch);
    result.tensors.merge(pass.tensors);
    result.rows.merge(pass.rows);
    for (const LayerInfo& layer : pass.layers) measured.insert(layer.weight);
  }
  for (const LayerInfo& layer : all)  // in their order, however they were divided
    if (measured.contains(layer.weight)) result.layers.push_back(layer);
  counters::examples += data.size();
  return result;
}

}  // namespace assay
