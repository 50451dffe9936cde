#include "harness/sweep/executor.h"

#include <ATen/Parallel.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <istream>
#include <optional>
#include <ostream>
#include <variant>

#include "harness/core/error.h"
#include "harness/core/interrupt.h"
#include "harness/core/process.h"
#include "harness/sweep/internal/cell_protocol.h"
#include "harness/sweep/run_cell.h"
#include "harness/sweep/run_statistic.h"
#include "harness/sweep/worker_count.h"

namespace assay {
namespace {

class InProcess : public Executor {
 public:
  explicit InProcess(CacheBudget budget) : context_(budget) {}
  int threads() const override { return at::get_num_threads(); }
  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    for (size_t i = 0; i < cells.size(); ++i) done(i, run_cell(context_, cells[i]));
  }
  void compute(const std::vector<StatisticJob>& jobs,
               const std::function<void(size_t, const std::string&)>& done) override {
    for (size_t i = 0; i < jobs.size(); ++i) done(i, run_statistic(context_, jobs[i]));
  }

 private:
  ExecutionContext context_;
};

class LocalWorkers : public Executor {
 public:
  LocalWorkers(int workers, std::vector<std::string> command)
      : workers_(static_cast<size_t>(workers)), command_(std::move(command)) {
    threads_ = threads_of_worker(workers);
    environment_ = {fmt::format("OMP_NUM_THREADS={}", threads_)};
  }

  int threads() const override { return threads_; }

  void run(const std::vector<Cell>& cells,
           const std::function<void(size_t, RunRecord)>& done) override {
    work(
        cells.size(), [&](size_t i) { return cell_to_line(cells[i]); },
        [&](size_t i, const Answer& answer) {
          done(i, answer.line ? result_from_line(cells[i], *answer.line)
                              : failed(cells[i], answer.error));
        });
  }

  void compute(const std::vector<StatisticJob>& jobs,
               const std::function<void(size_t, const std::string&)>& done) override {
    work(
        jobs.size(), [&](size_t i) { return statistic_to_line(jobs[i]); },
        [&](size_t i, const Answer& answer) {
          done(i, answer.line ? statistic_error_from_line(*answer.line) : answer.error);
        });
  }

 private:
  struct Slot {
    std::unique_ptr<ChildProcess> child;
    size_t item = 0;
    bool busy = false;
  };

  /// What a worker said, or why it ended without an answer.
  struct Answer {
    std::optional<std::string> line;
    std::string error;
  };

  // Sends the line of every item to a worker.
  void work(size_t items, const std::function<std::string(size_t)>& line_of,
            const std::function<void(size_t, const Answer&)>& answered) {
    const DeferInterrupts deferred;
    std::vector<Slot> slots(std::min(workers_, items));
    size_t next = 0;
    const auto assign = [&](Slot& slot) {
      slot.busy = next < items;
      if (!slot.busy) {
        slot.child.reset();
        return;
      }
      if (!slot.child) slot.child = std::make_unique<ChildProcess>(command_, environment_);
      slot.item = next++;
      // A failed write shows as the end of the child's output, which read_line() reports.
      slot.child->write_line(line_of(slot.item));
    };
    for (Slot& slot : slots) assign(slot);
    while (std::any_of(slots.begin(), slots.end(), [](const Slot& s) { return s.busy; })) {
      for (const size_t i : ready(slots)) {
        Slot& slot = slots[i];
        Answer answer{slot.child->read_line(), ""};
        const size_t finished = slot.item;
        if (!answer.line) answer.error = end_of(slot);
        assign(slot);
        answered(finished, answer);
      }
    }
  }

  static std::string end_of(Slot& slot) {
    std::string text =
        fmt::format("the worker process ended early: {}", exit_text(slot.child->wait()));
    slot.child.reset();
    return text;
  }

  static RunRecord failed(const Cell& cell, const std::string& reason) {
    RunRecord record = empty_record(cell);
    record.status = RunStatus::kFailed;
    record.reason = reason;
    return record;
  }

  static std::vector<size_t> ready(const std::vector<Slot>& slots) {
    std::vector<size_t> indices, out;
    std::vector<pollfd> polls;
    for (size_t i = 0; i < slots.size(); ++i) {
      if (!slots[i].busy) continue;
      if (slots[i].child->has_buffered_line()) out.push_back(i);
      indices.push_back(i);
      polls.push_back({slots[i].child->output_descriptor(), POLLIN, 0});
    }
    polls.push_back({interrupt_descriptor(), POLLIN, 0});
    while (::poll(polls.data(), polls.size(), out.empty() ? -1 : 0) < 0 && errno == EINTR) {
    }
    // Checked before the answers: a signal to all processes ends workers, too.
    if (polls.back().revents != 0)
      throw Interrupted(interrupt_signal(), exit_text(128 + interrupt_signal()));
    if (!out.empty()) return out;
    for (size_t k = 0; k < indices.size(); ++k)
      if (polls[k].revents != 0) out.push_back(indices[k]);
    return out;
  }

  size_t workers_;
  int threads_ = 1;
  std::vector<std::string> command_, environment_;
};

}  // namespace

void Executor::compute(const std::vector<StatisticJob>& jobs,
                       const std::function<void(size_t, const std::string&)>& done) {
  ExecutionContext context;
  for (size_t i = 0; i < jobs.size(); ++i) done(i, run_statistic(context, jobs[i]));
}

std::unique_ptr<Executor> in_process_executor(CacheBudget budget) {
  return std::make_unique<InProcess>(budget);
}

std::unique_ptr<Executor> local_workers_executor(int workers, std::vector<std::string> command) {
  ASSAY_CHECK(workers >= 1);
  return std::make_unique<LocalWorkers>(workers, std::move(command));
}

void serve_cells(ExecutionContext& context, std::istream& in, std::ostream& out) {
  for (std::string line; std::getline(in, line);) {
    std::variant<Cell, StatisticJob> work;
    try {
      work = work_from_line(line);
    } catch (const OtherProtocol&) {
      out << refusal_line() << std::endl;
      throw;
    }
    if (const Cell* cell = std::get_if<Cell>(&work))
      out << result_to_line(run_cell(context, *cell)) << std::endl;
    else
      out << statistic_error_to_line(run_statistic(context, std::get<StatisticJob>(work)))
          << std::endl;
  }
}

}  // namespace assay
