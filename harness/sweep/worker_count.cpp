#include "harness/sweep/worker_count.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/model/placement.h"

namespace assay {
namespace {

constexpr int64_t kSmall = 100'000'000;  // values; beyond it each worker's models take gigabytes
// A worker holds its program and libraries, and a few models in float32: of a merge, of an expert
// and of what its cells share.
constexpr int64_t kProcessBytes = int64_t{512} << 20;
constexpr int64_t kModels = 4;

std::string millions(int64_t values) {
  return fmt::format("{:.1f} M values", static_cast<double>(values) / 1e6);
}

}  // namespace

WorkerCount choose_workers(const SweepLoad& load) {
  if (!load.on_cpu) return {1, "models are on an accelerator, which one process keeps busy"};
  if (load.threads == 1) return {1, "there is one thread"};
  if (load.largest == 0) return {1, "no model is there yet; it is decided again when they are"};
  const std::string size = "the largest model has " + millions(load.largest);
  if (load.largest > kSmall)
    return {1, fmt::format("{}, above {}: the threads share its work", size, millions(kSmall))};
  const int64_t each = kProcessBytes + kModels * load.largest * int64_t{sizeof(float)};
  const int64_t fit = std::max<int64_t>(1, load.free_memory / 2 / each);
  if (fit < load.threads)
    return {static_cast<int>(fit),
            fmt::format("{}, and half of the free memory holds {} of them with their programs",
                        size, fit)};
  return {load.threads, size + ", too few for threads to share"};
}

int threads_of_worker(int workers) {
  return std::max(1, at::get_num_threads() / std::max(1, workers));
}

SweepLoad load_of(const ResolvedSweep& sweep) {
  SweepLoad load{.threads = at::get_num_threads(), .free_memory = free_memory(at::kCPU)};
  for (const at::Device device : sweep.devices) load.on_cpu &= device.is_cpu();
  for (const auto& [unused, model] : sweep.models) {
    if (!model.checkpoint) continue;
    int64_t values = 0;
    for (const TensorInfo& tensor : model.checkpoint->tensors()) values += tensor.numel();
    load.largest = std::max(load.largest, values);
  }
  return load;
}

}  // namespace assay
