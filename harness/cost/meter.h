/// Measures the cost of a span of work, from the meter's construction to stop().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "harness/core/cost.h"

namespace assay {

/// Counts the FLOPs of LibTorch operators in counters::flops while the process runs, from the
/// shapes of their inputs; flops_rules.h has the tables. A multiply-add is two FLOPs, a comparison
/// or an elementary function one; copying, sorting and integer operations are none. An operator
/// with arithmetic that is in no table is counted in counters::unknown_operators, and the FLOPs of
/// its span are absent. Assay's own kernels add theirs. Idempotent; a Meter calls it.
void count_operator_flops();

class Meter {
 public:
  explicit Meter(at::Device device = at::kCPU);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  /// The cost so far. Waits for the device to finish its work first. Meters may nest and overlap:
  /// each sees its own span. Counters, CPU time and peaks are those of the whole process.
  /// An own peak is the peak less what the process held at the construction: memory that was
  /// already allocated and is reused is not in it. peak_rss_bytes and own_peak_rss_bytes are absent
  /// where the system does not let the peak be reset. device_s is the time between two events on
  /// the device's current stream; it and the peaks of the device are absent on CPU. Among
  /// concurrent threads (counters::concurrent_threads) a meter belongs to one of them, which
  /// constructs and stops it: counters and CPU time are that thread's, wall time is an equal share
  /// of the elapsed time, and there is no peak.
  Cost stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
