// What collecting a Gram matrix costs, next to the machine's plain matrix product of the same
// vectors. See docs/performance.md.
//
// usage: bench_gram [--threads N] [--rounds N]
#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/timing.h"
#include "harness/calibration/internal/gram.h"
#include "harness/core/huge_pages.h"
#include "harness/kernels/parallel.h"

namespace assay {
namespace {

constexpr int64_t kTokens = 4096;
constexpr int64_t kBatchTokens = 2048;  // as compute_statistic() hands them on

void collect(GramSum& sum, const at::Tensor& x) {
  const OneThreadEach one_thread_each;
  for (int64_t first = 0; first < kTokens; first += kBatchTokens) {
    sum.append(x.narrow(0, first, kBatchTokens));
    GramSum::accumulate({&sum});
  }
}

// `size`: the inputs of a layer.
void measure(int64_t size, int rounds) {
  const at::Tensor x = at::randn({kTokens, size});
  GramSum sum(size);
  collect(sum, x);  // allocates
  std::vector<double> products, sums, ratios;
  for (int round = 0; round < rounds; ++round) {  // in turn: the machine's speed drifts
    products.push_back(seconds([&] { at::mm(x.t(), x); }));
    sums.push_back(seconds([&] { collect(sum, x); }));
    ratios.push_back(products.back() / 2 / sums.back());
  }
  const double symmetric = static_cast<double>(size * size * kTokens);
  fmt::print(
      "{:6} inputs, {} tokens: product {:7.1f} ms ({:6.1f} GFLOP/s of 2n²T), Gram {:7.1f} ms "
      "({:6.1f} GFLOP/s of n²T), {:.2f} of the product's rate ({:.2f} to {:.2f})\n",
      size, kTokens, 1e3 * median(products), 2e-9 * symmetric / median(products),
      1e3 * median(sums), 1e-9 * symmetric / median(sums), median(ratios),
      *std::min_element(ratios.begin(), ratios.end()),
      *std::max_element(ratios.begin(), ratios.end()));
}

int run(int argc, char** argv) {
  const std::optional<int> chosen = rounds_of("bench_gram", argc, argv);
  if (!chosen) return 2;
  const int rounds = *chosen;
  fmt::print("{} threads, float32, medians of {} rounds\n", at::get_num_threads(), rounds);
  for (const int64_t size : {2048, 4096}) measure(size, rounds);
  return 0;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  assay::use_huge_pages();
  return assay::run(argc, argv);
}
