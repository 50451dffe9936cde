// Times forward passes of a language model, one for every line of standard input, which is a number
// of tokens; answers with its seconds. scripts/bench/experts.py asks it in turn with transformers.
//
// usage: bench_experts FOLDER THREADS
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "bench/timing.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/core/huge_pages.h"
#include "harness/model/language.h"
#include "harness/model/open.h"

namespace assay {
namespace {

int run(const char* folder, int threads) {
  at::set_num_threads(threads);
  const c10::NoGradGuard no_gradients;
  const auto checkpoint = Checkpoint::open(ModelPath{folder});
  const auto architecture = std::dynamic_pointer_cast<const LanguageArchitecture>(
      open_computation(*checkpoint).architecture);
  if (!architecture) {
    fmt::print(stderr, "{} is no decoder\n", folder);
    return 2;
  }
  const StateDict weights = load_weights(*architecture, *checkpoint, at::kCPU);
  for (int64_t tokens = 0; std::cin >> tokens;) {
    const at::Tensor ids = ((at::arange(tokens, at::kLong) * 7 + 3) % architecture->vocabulary());
    const double took = seconds([&] {
      const at::Tensor hidden = architecture->hidden(weights, {ids.unsqueeze(0)}, nullptr);
      architecture->vocabulary_logits(weights, hidden);
    });
    fmt::print("{}\n", took);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  const int threads = argc == 3 ? std::atoi(argv[2]) : 0;
  if (threads < 1) {
    fmt::print(stderr, "usage: bench_experts FOLDER THREADS\n");
    return 2;
  }
  assay::use_huge_pages();
  return assay::run(argv[1], threads);
}
