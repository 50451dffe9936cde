/// Where cells run. A cluster scheduler is one more implementation of this interface.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/sweep/execution_context.h"

namespace assay {

class Executor {
 public:
  virtual ~Executor() = default;
  /// Threads that work on one cell, for the record.
  virtual int threads() const = 0;
  /// Runs all cells, in any order. Calls `done` once for each, from the calling thread, as it
  /// finishes. An exception from `done` ends the run. Interrupted when the user stops it: cells
  /// that were running are abandoned and worker processes ended.
  virtual void run(const std::vector<Cell>& cells,
                   const std::function<void(size_t index, RunRecord record)>& done) = 0;
  /// Computes statistics into their files, in any order, unless they are there. Calls `done` once
  /// for each, likewise, with the reason where one failed, else with "". This one works in this
  /// process.
  virtual void compute(const std::vector<StatisticJob>& jobs,
                       const std::function<void(size_t index, const std::string& error)>& done);
};

/// One after the other in this process, with all its threads and one ExecutionContext.
std::unique_ptr<Executor> in_process_executor(CacheBudget budget = {});

/// In `workers` child processes, `command` each ("assay worker"), which read cells and statistics
/// and write results as lines of JSON and share this process's threads. A worker that dies fails
/// its cell only and is replaced. DataError when a worker speaks another version of the protocol:
/// the program was replaced while the sweep ran.
std::unique_ptr<Executor> local_workers_executor(int workers, std::vector<std::string> command);

/// What a worker process does: answers each cell or statistic read from `in` with a line on `out`,
/// to the end of input. DataError for a line of another version of the protocol, after an answer
/// that says this one's version.
void serve_cells(ExecutionContext& context, std::istream& in, std::ostream& out);

}  // namespace assay
