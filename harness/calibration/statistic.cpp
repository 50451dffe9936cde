#include "harness/calibration/statistic.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/calibration/parallel.h"
#include "harness/core/cost.h"
#include "harness/core/log.h"
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
                                   uint64_t seed, int64_t batch_tokens) {
  const bool gradients = statistic.info().gradients;
  const c10::AutoGradMode mode(gradients);
  const StateDict used = gradients ? with_gradients(weights) : weights;
  const at::Device device = used.begin()->second.device();
  const std::vector<LayerInfo> layers = layers_of(architecture);
  const NetworkShape shape{architecture, layers};
  const std::vector<Span> batches = batches_of(data, gradients, batch_tokens);

  const OneThreadEach one_thread_each;
  const auto at_once = static_cast<size_t>(device.is_cpu() ? one_thread_each.threads() : 1);
  Progress progress(fmt::format("computing {}, examples", statistic.info().name), data.size());
  for (size_t begin = 0; begin < batches.size(); begin += at_once) {
    const size_t count = std::min(at_once, batches.size() - begin);
    std::vector<std::any> parts(count);
    concurrently(static_cast<int64_t>(count), [&](int64_t i) {
      const Span& span = batches[begin + static_cast<size_t>(i)];
      StatisticBatch batch{shape, used, moved(data.batch(span.first, span.count), device)};
      if (statistic.labels()) batch.targets = data.targets(span.first, span.count).to(device);
      batch.first = span.first;
      batch.seed = seed;
      parts[static_cast<size_t>(i)] = statistic.observe(batch);
      counters::examples += span.count;
    });
    const c10::NoGradGuard no_gradients;
    for (size_t i = 0; i < count; ++i) {
      statistic.add(std::move(parts[i]));
      progress.advance(batches[begin + i].count);
    }
  }
  const c10::NoGradGuard no_gradients;
  return statistic.finish(shape, data.size());
}

}  // namespace assay
