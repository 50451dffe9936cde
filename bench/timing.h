/// What the programs here time with.
#pragma once

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace assay {

template <typename Work>
double seconds(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// The rounds that "[--threads N] [--rounds N]" asks for, once the threads are set; absent, after a
/// line about usage, where an option is wrong.
inline std::optional<int> rounds_of(const char* program, int argc, char** argv) {
  int rounds = 7;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i];
    const int value = i + 1 < argc ? std::atoi(argv[i + 1]) : 0;
    if (value > 0 && option == "--threads") {
      at::set_num_threads(value);
    } else if (value > 0 && option == "--rounds") {
      rounds = value;
    } else {
      fmt::print(stderr, "usage: {} [--threads N] [--rounds N]\n", program);
      return std::nullopt;
    }
  }
  return rounds;
}

}  // namespace assay
