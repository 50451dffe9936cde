/// MoFO, arXiv:2407.20999: AdamW that changes only the entries with the largest momentum.
#pragma once

#include <torch/optim/adamw.h>

#include <vector>

namespace assay {

/// LibTorch's AdamW in which a row of a parameter changes only where its momentum's magnitude is
/// among the row's largest.
class Mofo {
 public:
  /// Parameters [rows, entries]. `share`: of the entries that change, at least one per row, and all
  /// that tie with the last; 1: plain AdamW.
  Mofo(std::vector<at::Tensor> parameters, torch::optim::AdamWOptions options, double share);

  void set_learning_rate(double rate);
  /// A step by the parameters' gradients, which are then cleared. Weight decay is of all entries.
  void step();

 private:
  std::vector<at::Tensor> parameters_;
  torch::optim::AdamW adam_;
  double share_;
};

}  // namespace assay
