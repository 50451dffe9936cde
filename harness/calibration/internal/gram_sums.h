/// What statistics of outer products share: a GramSum for each layer or tensor.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/calibration/internal/gram.h"
#include "harness/calibration/statistic.h"

namespace assay {

class GramSums {
 public:
  /// Vectors [rows, size] in pieces, by the name of their sum.
  using Pieces = std::map<std::string, std::vector<at::Tensor>>;

  void add(const Pieces& vectors) {
    std::vector<GramSum*> changed;
    for (const auto& [name, pieces] : vectors) {
      GramSum& sum = sums_.try_emplace(name, pieces.front().size(1)).first->second;
      for (const at::Tensor& piece : pieces) sum.append(piece);
      changed.push_back(&sum);
    }
    GramSum::accumulate(changed);
  }

  /// The means over vectors, and how many these were. Leaves no sums.
  StatisticTensors take_means(at::ScalarType dtype) {
    StatisticTensors result;
    for (auto& [name, sum] : std::exchange(sums_, {})) {
      if (sum.rows() == 0) continue;  // an expert of a mixture that no token was sent to
      result.rows[name] = sum.rows();
      result.tensors[name] = sum.mean().to(dtype);
    }
    return result;
  }

  /// What sums of vectors of these sizes hold while they are added up.
  static int64_t working_bytes(const std::map<std::string, int64_t>& sizes, at::ScalarType dtype) {
    int64_t total = 0;
    for (const auto& [unused, size] : sizes)
      total += GramSum::working_bytes(size, static_cast<int64_t>(c10::elementSize(dtype)));
    return total;
  }

 private:
  std::map<std::string, GramSum> sums_;
};

}  // namespace assay
