/// Measures what a piece of work costs, from its construction to stop().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "harness/core/cost.h"

namespace assay {

/// Counts the floating-point operations of LibTorch operators into counters::flops for as long as
/// the process runs, by the shapes of their inputs; the tables are in flops_rules.h. One
/// multiply-add is two, a comparison or an elementary function one. Moving, sorting and integer
/// work is none. An operator with arithmetic that no table knows counts in
/// counters::unknown_operators, and the FLOPs of a span that holds one are absent. Assay's own
/// kernels add theirs. Idempotent; a Meter calls it.
void count_operator_flops();

class Meter {
 public:
  explicit Meter(at::Device device = at::kCPU);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  /// The cost so far. Waits for the device to finish its work first. Meters may nest and overlap:
  /// each sees its own span. Counters, CPU time and peaks are those of the whole process.
  /// An own peak is the peak less what the process held at the construction: memory that the work
  /// finds there and uses again is not in it. peak_rss_bytes and own_peak_rss_bytes are absent
  /// where the system does not let the peak be reset. device_s is the time between two events on
  /// the device's current stream; it and the peaks of the device are absent on CPU. Among threads
  /// that work side by side (counters::threads_apart) a meter belongs to one of them, which begins
  /// and stops it: counters and CPU time are that thread's, the time its equal share of what
  /// passed, and there is no peak.
  Cost stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
