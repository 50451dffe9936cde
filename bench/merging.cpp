// What merging costs inside a sweep: 24 cells of three methods over models in memory, next to the
// time in which the same bytes can be read from memory at all. See docs/performance.md.
//
// usage: bench_merging [--size 100m|10m] [--threads N] [--only METHOD] [--alone]
//   --only   the cells of one method
//   --alone  shares nothing between cells
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "harness/core/huge_pages.h"
#include "harness/core/philox.h"
#include "harness/merge/merge.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Shape {
  int64_t hidden, layers, ffn, vocabulary, kv_heads, heads;
};

std::map<std::string, std::vector<int64_t>> llama_shapes(const Shape& s) {
  const int64_t kv = s.kv_heads * s.hidden / s.heads;
  std::map<std::string, std::vector<int64_t>> shapes{
      {"model.embed_tokens.weight", {s.vocabulary, s.hidden}},
      {"lm_head.weight", {s.vocabulary, s.hidden}},
      {"model.norm.weight", {s.hidden}}};
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto add = [&](const char* name, std::vector<int64_t> shape) {
      shapes[fmt::format("model.layers.{}.{}.weight", i, name)] = std::move(shape);
    };
    add("self_attn.q_proj", {s.hidden, s.hidden});
    add("self_attn.k_proj", {kv, s.hidden});
    add("self_attn.v_proj", {kv, s.hidden});
    add("self_attn.o_proj", {s.hidden, s.hidden});
    add("mlp.gate_proj", {s.ffn, s.hidden});
    add("mlp.up_proj", {s.ffn, s.hidden});
    add("mlp.down_proj", {s.hidden, s.ffn});
    add("input_layernorm", {s.hidden});
    add("post_attention_layernorm", {s.hidden});
  }
  return shapes;
}

/// A base of normal random numbers of size 0.02, or an expert near it, in bfloat16.
std::shared_ptr<const TensorSource> make_model(const Shape& shape, const TensorSource* base,
                                               const std::string& label) {
  StateDict tensors;
  for (const auto& [name, sizes] : llama_shapes(shape)) {
    at::Tensor values = (base ? 0.001 : 0.02) * at::randn(sizes);
    if (base) values += base->read(name).to(at::kFloat);
    tensors[name] = values.to(at::kBFloat16);
  }
  return std::make_shared<MemorySource>(label, std::move(tensors));
}

/// The time in which `threads` threads read all tensors once.
double read_seconds(const MergeInputs& inputs, int threads) {
  std::vector<std::pair<const uint64_t*, size_t>> spans;
  const auto add = [&](const TensorSource& source) {
    for (const TensorInfo& info : source.tensors())
      spans.emplace_back(static_cast<const uint64_t*>(source.read(info.name).const_data_ptr()),
                         static_cast<size_t>(info.bytes()) / sizeof(uint64_t));
  };
  add(*inputs.base);
  for (const auto& expert : inputs.experts) add(*expert);
  std::vector<uint64_t> sums(static_cast<size_t>(threads));
  std::vector<std::thread> readers;
  const Clock::time_point start = Clock::now();
  for (size_t t = 0; t < sums.size(); ++t)
    readers.emplace_back([&, t] {
      uint64_t sum = 0;
      for (const auto& [data, count] : spans)
        for (size_t i = count * t / sums.size(); i < count * (t + 1) / sums.size(); ++i)
          sum += data[i];
      sums[t] = sum;
    });
  for (std::thread& reader : readers) reader.join();
  const double seconds = seconds_since(start);
  // Keeps the sums from being left out.
  volatile uint64_t used = 0;
  for (const uint64_t sum : sums) used = used + sum;
  return seconds;
}

/// Counts the bytes of tensors that any thread allocates.
class CountAllocations : public c10::Allocator {
 public:
  CountAllocations() { c10::SetCPUAllocator(this, /*priority=*/1); }
  c10::DataPtr allocate(size_t bytes) override {
    allocated += static_cast<int64_t>(bytes);
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    inner_->copy_data(to, from, bytes);
  }
  std::atomic<int64_t> allocated{0};

 private:
  c10::Allocator* inner_ = c10::GetDefaultCPUAllocator();
};

struct BenchCell {
  std::string method;
  Json parameters;
};

std::vector<BenchCell> grid() {
  std::vector<BenchCell> cells;
  for (const double scale : {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0})
    cells.push_back({"task_arithmetic", {{"scale", scale}}});
  for (const double density : {0.1, 0.2})
    for (const double scale : {0.8, 1.0, 1.7, 3.0})
      cells.push_back({"ties", {{"density", density}, {"scale", scale}}});
  for (const double drop : {0.5, 0.9})
    for (const double scale : {0.1, 0.3, 0.5, 1.0})
      cells.push_back({"dare", {{"drop", drop}, {"scale", scale}}});
  return cells;
}

int run(int argc, char** argv) {
  Shape shape{768, 12, 2048, 32000, 4, 12};
  bool alone = false;
  std::vector<BenchCell> cells = grid();
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--alone")
      alone = true;
    else if (option == "--threads" && i + 1 < argc)
      at::set_num_threads(std::atoi(argv[++i]));
    else if (option == "--only" && i + 1 < argc)
      std::erase_if(cells, [&](const BenchCell& cell) { return cell.method != argv[i + 1]; }), ++i;
    else if (option == "--size" && i + 1 < argc && std::string(argv[i + 1]) == "10m")
      shape = {256, 6, 704, 8192, 4, 8}, ++i;
    else if (option == "--size" && i + 1 < argc && std::string(argv[i + 1]) == "100m")
      ++i;
    else
      return fmt::print(stderr,
                        "usage: bench_merging [--size 100m|10m] "
                        "[--threads N] [--only METHOD] [--alone]\n"),
             2;
  }
  if (cells.empty()) return fmt::print(stderr, "bench_merging: no cells of that method\n"), 2;
  const int threads = at::get_num_threads();
  MergeInputs inputs;
  MergeCache shared;
  inputs.base = make_model(shape, nullptr, "base");
  for (int i = 0; i < 3; ++i)
    inputs.experts.push_back(make_model(shape, inputs.base.get(), fmt::format("expert {}", i)));
  if (!alone) inputs.cache = &shared;
  for (const auto& expert : inputs.experts) expert->content_hash();
  inputs.base->content_hash();
  int64_t bytes = 0;
  for (const TensorInfo& info : inputs.base->tensors()) bytes += 4 * info.bytes();

  static CountAllocations counter;  // outlives all tensors
  MemorySink sink(inputs.device);
  // What all cells merge into, and what they share, is allocated once per process.
  const Clock::time_point before_places = Clock::now();
  merge_models(*make_method("task_arithmetic",
                            JsonReader(Json{{"scale", 1}, {"weights", {1, 2, 3}}}, "bench")),
               inputs, sink);
  fmt::print("places made by a first merge: {:.1f} MB, {:.1f} ms\n",
             static_cast<double>(counter.allocated) / 1e6, 1e3 * seconds_since(before_places));
  std::map<std::string, std::pair<double, int>> by_method;
  std::map<std::string, const void*> places;
  double total = 0;
  int64_t by_cells = 0;
  bool moved = false;
  std::vector<double> readings;  // in turn with the cells: the machine's speed drifts
  for (size_t i = 0; i < cells.size(); ++i) {
    for (int repeat = 0; repeat < 3; ++repeat) readings.push_back(read_seconds(inputs, threads));
    const auto method = make_method(cells[i].method, JsonReader(cells[i].parameters, "bench"));
    counter.allocated = 0;
    const Clock::time_point start = Clock::now();
    const MergeReport report = merge_models(*method, inputs, sink);
    const double seconds = seconds_since(start);
    by_cells += counter.allocated;
    for (const auto& [name, tensor] : sink.tensors()) {
      const void*& place = places[name];
      moved |= i > 0 && place != tensor.const_data_ptr();
      place = tensor.const_data_ptr();
    }
    total += seconds;
    auto& [sum, count] = by_method[cells[i].method];
    sum += seconds;
    ++count;
    fmt::print("{:16} {:32} {:8.1f} ms   allocated {:6.1f} MB   shared {:8.1f} ms\n",
               cells[i].method, cells[i].parameters.dump(), 1e3 * seconds,
               static_cast<double>(counter.allocated) / 1e6,
               report.shared ? 1e3 * report.shared->wall_s.value_or(0) : 0.0);
  }
  std::nth_element(readings.begin(), readings.begin() + std::ssize(readings) / 2, readings.end());
  const double reading = readings[readings.size() / 2];
  fmt::print(
      "{} threads; base and experts: {:.2f} GB, read once "
      "in {:.1f} ms ({:.1f} GB/s), the median of {}\n",
      threads, static_cast<double>(bytes) / 1e9, 1e3 * reading,
      static_cast<double>(bytes) / 1e9 / reading, readings.size());
  for (const auto& [name, entry] : by_method)
    fmt::print("{:16} mean {:8.1f} ms = {:.2f} x reading\n", name, 1e3 * entry.first / entry.second,
               entry.first / entry.second / reading);
  const double mean = total / static_cast<double>(cells.size());
  fmt::print("all {} cells     mean {:8.1f} ms = {:.2f} x reading\n", cells.size(), 1e3 * mean,
             mean / reading);
  fmt::print("shared values: {:.2f} MB; allocated by the cells: {:.2f} MB; tensors {}\n",
             static_cast<double>(shared.bytes()) / 1e6, static_cast<double>(by_cells) / 1e6,
             moved ? "MOVED" : "stayed in place");
  return moved ? 1 : 0;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  assay::use_huge_pages();
  return assay::run(argc, argv);
}
