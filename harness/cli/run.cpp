#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "harness/cli/commands.h"
#include "harness/cli/exit_codes.h"
#include "harness/cli/task_options.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/interrupt.h"
#include "harness/core/log.h"
#include "harness/plugin/plugins.h"
#include "harness/sweep/cache_memory.h"
#include "harness/sweep/device.h"
#include "harness/sweep/estimate.h"
#include "harness/sweep/run_sweep.h"
#include "harness/sweep/worker_count.h"
#include "reports/report.h"

namespace assay::cli {
namespace {

struct RunArguments {
  std::string sweep, db, device = "auto", only;
  std::optional<int> workers;
  int64_t cache_memory = default_cache_memory();
  bool dry_run = false, json = false;
};

std::string kept_in(const RunArguments& options) {
  return fmt::format(
      "the results so far are in '{}', running cells were "
      "abandoned; the same command resumes from there",
      options.db);
}

/// Of each process that runs cells.
int64_t memory_of_process(const RunArguments& options, const WorkerCount& count) {
  return options.cache_memory / std::max(1, count.workers);
}

WorkerCount worker_count(const RunArguments& options, const ResolvedSweep& sweep) {
  if (options.workers) return {*options.workers, "as --workers says"};
  return choose_workers(load_of(sweep));
}

void print_dry_run(const ResolvedSweep& sweep, const Plan& plan, const RunArguments& options,
                   const WorkerCount& count) {
  const bool known = fs::exists(options.db);
  const auto store = known ? std::optional(Store::open_read_only(options.db)) : std::nullopt;
  const SweepEstimate estimate =
      estimate_sweep(sweep, plan, store ? &*store : nullptr, memory_of_process(options, count));
  if (options.json) {
    Json json = estimate_to_json(estimate);
    json["workers"] = {{"count", count.workers},
                       {"threads", threads_of_worker(count.workers)},
                       {"why", count.why}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}{} worker(s), threads of each: {} ({})\n", estimate_text(estimate), count.workers,
             threads_of_worker(count.workers), count.why);
}

/// `merges`: how many with a base are to be run.
std::unique_ptr<Executor> make_executor(const RunArguments& options, const WorkerCount& count,
                                        const Common& common, int64_t merges) {
  // A process that has no later merge keeps no task vectors.
  const CacheBudget budget{.bytes = memory_of_process(options, count),
                           .task_vectors = merges > std::max(1, count.workers)};
  if (count.workers == 0) return in_process_executor(budget);
  std::vector<std::string> worker{common.program, "--quiet", "worker", "--cache-memory",
                                  std::to_string(budget.bytes)};
  if (!budget.task_vectors) worker.emplace_back("--no-task-vectors");
  for (const Plugin& plugin : plugins())
    worker.insert(worker.end(), {"--plugin", plugin.path.string()});
  return local_workers_executor(count.workers, std::move(worker));
}

void run(const RunArguments& options, const Common& common) {
  set_interrupt_note("finished checkpoints are kept; the same command resumes from there");
  SweepFile file = SweepFile::read(find_file(options.sweep), options.sweep);
  if (!options.only.empty()) keep_only(file, options.only);
  const Devices devices = parse_devices(options.device);
  const ResolvedSweep sweep =
      resolve_sweep(std::move(file), devices, options.dry_run ? Missing::kLeave : Missing::kTrain);
  const Plan plan = plan_sweep(sweep);
  const WorkerCount count = worker_count(options, sweep);
  if (options.dry_run) return print_dry_run(sweep, plan, options, count);

  if (const fs::path folder = fs::path(options.db).parent_path(); !folder.empty())
    fs::create_directories(folder);
  Store store = Store::open(options.db);
  set_interrupt_note(kept_in(options));
  if (!options.workers)
    log_info("{} worker(s), threads of each: {} ({})", count.workers,
             threads_of_worker(count.workers), count.why);
  const auto executor = make_executor(options, count, common, merges_with_base(plan, store));
  const SweepSummary summary =
      run_sweep(sweep, plan, store, *executor,
                current_environment(device_text(devices), common.command_line));
  const double total_s = summary.merge_s + summary.evaluate_s;
  const auto percent = [&](double part_s) { return total_s > 0 ? 100 * part_s / total_s : 0.0; };
  log_info(
      "{} cells run ({} skipped, {} failed), {} results reused; {:.1f} s of work: {:.1f} % "
      "merging, "
      "{:.1f} % evaluating; sharing saved {:.1f} s of merging",
      summary.ran, summary.skipped, summary.failed, summary.reused, total_s,
      percent(summary.merge_s), percent(summary.evaluate_s), summary.shared_s);
  if (summary.statistics > 0)
    log_info("{} statistics of the experts' data computed in {:.1f} s of work", summary.statistics,
             summary.statistics_s);
  const SweepResults results = store.load_sweep(sweep.file.name);
  if (options.json)
    fmt::print("{}\n", render_report(results, ReportFormat::kJson));
  else
    fmt::print("{}", leaderboard_text(results, {}, terminal_width()));
  if (summary.failed > 0)
    throw WorkFailed(
        fmt::format("{} cell(s) failed ({} of them keep the scores of some tasks): 'assay report' "
                    "lists them with reasons; running the sweep again tries them again",
                    summary.failed, summary.partly));
}

}  // namespace

void add_run(CLI::App& app, const Common& common) {
  auto options = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand("run", "run a sweep: every method on every expert set");
  command->footer(
      R"(Results are kept in the database: running the same sweep again completes what is
missing, after any interruption. Data and checkpoints that a recipe makes are made when missing.
Exit code 4: some cells failed. Skipped cells, whose method cannot be run on a set, are no failure.
Example: assay run sweeps/quickstart.json --db out/quickstart.sqlite)");
  command->add_option("SWEEP", options->sweep, "sweep file (JSON)")->required();
  command->add_option("--db", options->db, "results database (default: out/NAME.sqlite)");
  command->add_option("--device", options->device, kDevicesHelp)->capture_default_str();
  command
      ->add_option("--workers", options->workers,
                   "worker processes; a crash costs one cell. 0: in this process. By default one "
                   "per thread for small models on the CPU, else one with all threads")
      ->check(CLI::Range(0, 1024));
  command
      ->add_option(
          "--cache-memory", options->cache_memory,
          "how much memory, over all workers, to keep task vectors and statistics in that "
          "merges share, and for the sums of statistics, as in 2GiB; 0: share nothing, sums "
          "without a limit")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("an eighth of the machine's, at most 4.25GiB");
  command->add_flag("--dry-run", options->dry_run,
                    "print the cells, what they need and what they would cost");
  command->add_option("--only", options->only,
                      "run only the method rows matching this glob; the others keep their results");
  add_tasks_dir(*command);
  command->add_flag("--json", options->json, "print machine-readable results");
  command->callback([options, &common] {
    if (options->db.empty())
      options->db = (fs::path("out") / fs::path(options->sweep).stem()).string() + ".sqlite";
    try {
      run(*options, common);
    } catch (const Interrupted& e) {
      throw Interrupted(e.signal, "stopped; " + kept_in(*options));
    }
  });
}

}  // namespace assay::cli
