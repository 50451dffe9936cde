/// How many processes run a sweep's cells where the user does not say so.
#pragma once

#include <cstdint>
#include <string>

#include "harness/sweep/plan.h"

namespace assay {

/// What the number of workers follows from.
struct SweepLoad {
  bool on_cpu = true;       ///< models are evaluated on the CPU alone
  int threads = 1;          ///< of all workers together
  int64_t largest = 0;      ///< values of the largest model; 0: none is there yet
  int64_t free_memory = 0;  ///< bytes
};

struct WorkerCount {
  int workers = 1;
  std::string why;  ///< a clause: "the largest model has 0.1 M values, ..."
};

/// On the CPU a worker per thread while models are small and fit in half of the free memory:
/// threads that share the operators of a small model wait for each other most of the time. Else one
/// worker, which has all threads.
WorkerCount choose_workers(const SweepLoad& load);

/// The threads of each of so many workers, 0 as 1: this process's are divided among them.
int threads_of_worker(int workers);

/// Of the sweep on this machine, for this process's threads.
SweepLoad load_of(const ResolvedSweep& sweep);

}  // namespace assay
