// How fast a device merges models that lie in its memory, next to how fast it copies the same bytes
// there. A line of JSON each: bytes are those read and written.
//
// usage: bench_device [--device cpu|cuda[:INDEX]] [--megabytes N] [--rounds N]
//   --megabytes  of each model, in bfloat16 (default 1024)
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "bench/timing.h"
#include "harness/core/cost.h"
#include "harness/cost/meter.h"
#include "harness/merge/merge.h"
#include "harness/method/method.h"

namespace assay {
namespace {

constexpr int kExperts = 4;

struct Options {
  std::string device = "cpu";
  int64_t megabytes = 1024;
  int rounds = 5;
};

StateDict model(const Options& options, const StateDict* base) {
  constexpr int64_t kMegabytesOfTensor = 32;
  const at::Device device(options.device);
  StateDict tensors;
  for (int64_t i = 0; i < std::max<int64_t>(1, options.megabytes / kMegabytesOfTensor); ++i) {
    const std::string name = fmt::format("layers.{}.weight", i);
    const int64_t rows = std::min(options.megabytes, kMegabytesOfTensor) * 512;  // of 1024
    at::Tensor values = at::randn({rows, 1024}, at::device(device).dtype(at::kBFloat16));
    tensors[name] = base ? base->at(name) + 0.1 * values : values;
  }
  return tensors;
}

/// The median over the rounds, after one that does not count. Of an accelerator its own time.
template <typename Work>
double seconds_of(const Options& options, Work&& work) {
  std::vector<double> all;
  for (int i = 0; i <= options.rounds; ++i) {
    Meter meter{at::Device(options.device)};
    work();
    const Cost cost = meter.stop();
    if (i > 0) all.push_back(cost.device_s.value_or(*cost.wall_s));
  }
  return median(all);
}

void print(const Options& options, const std::string& name, double bytes, double seconds,
           double copy_bytes_per_s) {
  const double rate = bytes / seconds;
  fmt::print("{}\n",
             Json{{"name", name},
                  {"device", options.device},
                  {"bytes", bytes},
                  {"seconds", seconds},
                  {"bytes_per_s", rate},
                  {"of_copy", copy_bytes_per_s > 0 ? Json(rate / copy_bytes_per_s) : Json()}}
                 .dump());
}

void run(const Options& options) {
  const StateDict base = model(options, nullptr);
  StateDict target;
  double model_bytes = 0;
  for (const auto& [name, tensor] : base) {
    target[name] = at::empty_like(tensor);
    model_bytes += static_cast<double>(tensor.nbytes());
  }
  MergeInputs inputs;
  inputs.device = at::Device(options.device);
  inputs.base = std::make_shared<MemorySource>("base", base);
  for (int i = 0; i < kExperts; ++i)
    inputs.experts.push_back(
        std::make_shared<MemorySource>(fmt::format("expert {}", i), model(options, &base)));

  const double copy = seconds_of(options, [&] {
    for (auto& [name, tensor] : target) tensor.copy_(base.at(name));
  });
  const double copied = 2 * model_bytes;
  print(options, "copy", copied, copy, 0);
  const Json none = Json::object();
  for (const char* name : {"average", "task_arithmetic", "dare", "ties"}) {
    const auto method = make_method(name, JsonReader(none, "the benchmark"));
    const double merged = seconds_of(options, [&] { merge_to_memory(*method, inputs); });
    const int read = kExperts + (method->needs().base ? 1 : 0);
    print(options, name, (read + 1) * model_bytes, merged, copied / copy);
  }
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  assay::Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--device" && !value.empty()) {
      options.device = value;
    } else if (option == "--megabytes" && std::atoi(value.c_str()) > 0) {
      options.megabytes = std::atoi(value.c_str());
    } else if (option == "--rounds" && std::atoi(value.c_str()) > 0) {
      options.rounds = std::atoi(value.c_str());
    } else {
      fmt::print(stderr, "usage: bench_device [--device DEVICE] [--megabytes N] [--rounds N]\n");
      return 2;
    }
  }
  assay::run(options);
}
