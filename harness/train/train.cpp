#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "harness/checkpoint/own_folder.h"
#include "harness/core/error.h"
#include "harness/core/file_lock.h"
#include "harness/core/files.h"
#include "harness/core/freed_memory.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/core/provenance.h"
#include "harness/model/placement.h"
#include "harness/train/internal/settings.h"
#include "harness/train/internal/trainer.h"
#include "harness/train/recipe.h"

namespace assay {
namespace {

/// LibTorch's operators run on so many threads for the object's lifetime.
class Threads {
 public:
  explicit Threads(int64_t count) { at::set_num_threads(static_cast<int>(count)); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_ = at::get_num_threads();
};

double mean_of_last_tenth(const std::vector<double>& losses) {
  const size_t count = std::max<size_t>(1, losses.size() / 10);
  return std::accumulate(losses.end() - static_cast<int64_t>(count), losses.end(), 0.0) /
         static_cast<double>(count);
}

/// The losses as at most 200 means over equally many steps each; fewer in the last.
std::vector<double> loss_curve(const std::vector<double>& losses) {
  constexpr size_t kPoints = 200;
  const size_t span = std::max<size_t>(1, (losses.size() + kPoints - 1) / kPoints);
  std::vector<double> curve;
  for (size_t first = 0; first < losses.size(); first += span) {
    const size_t count = std::min(span, losses.size() - first);
    const auto begin = losses.begin() + static_cast<int64_t>(first);
    curve.push_back(std::accumulate(begin, begin + static_cast<int64_t>(count), 0.0) /
                    static_cast<double>(count));
  }
  return curve;
}

Json describe(const Recipe& file, const CheckpointRecipe& recipe, const TrainingData& data,
              const TrainingState& state) {
  Json examples = Json::object();
  for (size_t i = 0; i < data.items().size(); ++i)
    examples[recipe.mixture[i].task] = data.items()[i];
  Json origin = {{"assay", 1},
                 {"name", recipe.name},
                 {"role", recipe.role},
                 {"recipe_hash", file.hash(recipe.name)},
                 {"init", recipe.init},
                 {"trained_on", file.trained_on(recipe.name)},
                 {"pretrained_on", file.pretrained_on(recipe.name)},
                 {"examples", examples},
                 {"steps", state.step},
                 {"batch", recipe.batch},
                 {"learning_rate", recipe.learning_rate},
                 {"weight_decay", recipe.weight_decay},
                 {"schedule", recipe.schedule},
                 {"loss", recipe.loss},
                 {"freeze", recipe.freeze},
                 {"seed", recipe.seed}};
  origin.update(changed_settings(recipe));
  origin["losses"] = loss_curve(state.losses);
  origin["final_loss"] = mean_of_last_tenth(state.losses);
  origin["cost"] = state.cost;
  if (state.tokens > 0) origin["tokens"] = state.tokens;
  if (!state.looks.empty()) {
    const ValidationLook& best = state.looks[state.best_look()];
    origin["best"] = {{"step", best.step}, {"validation_loss", best.loss}};
  }
  origin["provenance"] = {{"git_revision", git_revision()},
                          {"compiler", compiler_name()},
                          {"libtorch", ASSAY_LIBTORCH_VERSION},
                          {"cpu", cpu_name()},
                          {"os", os_name()},
                          {"made", utc_now()}};
  return origin;
}

std::shared_ptr<const Checkpoint> find_init(const Recipe& recipe, const CheckpointRecipe& entry,
                                            const std::filesystem::path& folder, bool log_mismatch);

/// Null when the folder has no checkpoint of this recipe. `log_mismatch`: logs the reason.
std::shared_ptr<const Checkpoint> open_matching(const Recipe& recipe, const std::string& name,
                                                const std::filesystem::path& folder,
                                                bool log_mismatch) {
  const std::filesystem::path path = folder / name;
  const std::string hash = recipe.hash(name);
  if (!path_exists(path)) return nullptr;
  ModelPath model(plain_path(path));
  if (const CheckpointRecipe& entry = recipe.at(name); entry.adapter) {
    const auto base = find_init(recipe, entry, folder, log_mismatch);
    if (!base) return nullptr;
    model = ModelPath(base->path(), plain_path(path));
  }
  try {
    auto checkpoint = Checkpoint::open(model);
    const Json& origin = checkpoint->origin();
    if (origin.is_object() && origin.value("recipe_hash", "") == hash) return checkpoint;
    if (log_mismatch) log_info("{}: made by another recipe", path.string());
  } catch (const DataError& error) {
    if (log_mismatch) log_warning("{}", error.what());
  }
  return nullptr;
}

/// What the entry is trained from; null when that is random or not there.
std::shared_ptr<const Checkpoint> find_init(const Recipe& recipe, const CheckpointRecipe& entry,
                                            const std::filesystem::path& folder,
                                            bool log_mismatch) {
  if (entry.init == "random") return nullptr;
  const auto outside = recipe.outside_models().find(entry.init);
  if (outside != recipe.outside_models().end()) return outside->second;
  return open_matching(recipe, entry.init, folder, log_mismatch);
}

/// Waits while another process makes the checkpoint. Ctrl-C ends the process as elsewhere in
/// training.
FileLock lock_destination(const std::filesystem::path& path) {
  constexpr std::chrono::milliseconds kPause{100};
  const std::filesystem::path destination = resolve_output(path);
  std::filesystem::create_directories(destination.parent_path());
  const std::filesystem::path lock =
      destination.parent_path() / fmt::format(".{}.training.lock", destination.filename().string());
  for (bool logged = false;; logged = true) {
    if (auto acquired = FileLock::try_lock(lock)) return std::move(*acquired);
    if (!logged) log_info("'{}': it is being made already; waiting", destination.string());
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

void check_destination(const std::filesystem::path& path) {
  const std::filesystem::path destination = resolve_output(path);
  check_output_folder(destination, /*replace=*/true, {});
  if (!std::filesystem::exists(destination / "assay.json")) return;
  const Json origin = read_json(destination / "assay.json");
  if (!origin.contains("recipe_hash"))
    user_error("'{}' is not replaced: no recipe made it; name another folder",
               destination.string());
}

std::shared_ptr<const Checkpoint> find_checkpoint(const Recipe& recipe, const std::string& name,
                                                  const std::filesystem::path& folder) {
  return open_matching(recipe, name, folder, true);
}

std::shared_ptr<const Checkpoint> ensure_checkpoint(const Recipe& recipe, const std::string& name,
                                                    const std::filesystem::path& folder) {
  const CheckpointRecipe& entry = recipe.at(name);
  if (auto checkpoint = find_checkpoint(recipe, name, folder)) return checkpoint;
  check_destination(folder / name);
  const FileLock lock = lock_destination(folder / name);
  if (auto made = open_matching(recipe, name, folder, false)) return made;
  if (entry.init != "random" && !recipe.outside_models().contains(entry.init))
    ensure_checkpoint(recipe, entry.init, folder);
  const std::shared_ptr<const Checkpoint> init = find_init(recipe, entry, folder, false);

  const std::string where = fmt::format("recipe '{}', checkpoint '{}'", recipe.name(), name);
  const auto architecture = make_architecture(JsonReader(recipe.architecture(), where));
  const auto data = read_training_data(recipe, entry, Split::kTrain, 0, where);
  std::unique_ptr<const TrainingData> validation;
  if (const auto& stopping = entry.early_stopping)
    validation = read_training_data(recipe, entry, Split::kValidation, stopping->examples, where);

  const Threads threads(entry.threads);
  StateDict initial = init ? load_weights(*architecture, *init, at::kCPU, at::kFloat)
                           : architecture->initial_weights(entry.seed);
  for (auto& [unused, tensor] : initial)
    tensor = tensor.clone();  // a copy of the memory-mapped file
  const auto weights = trained_weights(recipe, entry, *architecture, std::move(initial),
                                       init ? init->path() : fs::path(), where);
  const StateFile saved(folder / name, recipe.hash(name));
  const TrainingState state =
      run_training({*architecture, entry, *weights, *data, validation.get(), saved, where});

  check_destination(folder / name);
  weights->write(folder / name, describe(recipe, entry, *data, state));
  saved.remove();
  auto made = open_matching(recipe, name, folder, true);
  ASSAY_CHECK(made, "the checkpoint '{}' that was just written", name);
  return made;
}

size_t training_jobs(const Recipe& recipe) {
  constexpr int64_t kCopies = 8;  // of the weights; activations of small models are in it
  int64_t bytes = 1, threads = 1;
  const auto architecture = make_architecture(JsonReader(recipe.architecture(), recipe.name()));
  for (const TensorInfo& info : architecture->tensors()) bytes += info.bytes();
  for (const CheckpointRecipe& entry : recipe.checkpoints())
    threads = std::max(threads, entry.threads);
  const int64_t by_cores = static_cast<int64_t>(std::thread::hardware_concurrency()) / threads;
  return static_cast<size_t>(
      std::max<int64_t>(1, std::min(by_cores, free_memory(at::kCPU) / (kCopies * bytes))));
}

std::vector<std::shared_ptr<const Checkpoint>> ensure_checkpoints(
    const Recipe& recipe, const std::vector<std::string>& names, const fs::path& folder,
    size_t jobs) {
  std::vector<std::shared_ptr<const Checkpoint>> made(names.size());
  // The longest first, so that no core waits in the end for one that began last.
  std::vector<size_t> order(names.size());
  std::iota(order.begin(), order.end(), 0);
  const auto examples = [&](size_t i) {
    return recipe.at(names[i]).steps * recipe.at(names[i]).batch;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return examples(a) > examples(b); });
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    counters::concurrent_threads = static_cast<int>(jobs);
    for (size_t i = next++; i < names.size(); i = next++) try {
        made[order[i]] = ensure_checkpoint(recipe, names[order[i]], folder);
      } catch (...) {
        next = names.size();
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
  };
  jobs = std::clamp<size_t>(jobs, 1, std::max<size_t>(1, names.size()));
  std::vector<std::thread> threads;
  for (size_t i = 1; i < jobs; ++i) threads.emplace_back(work);
  const int before = counters::concurrent_threads;
  work();
  counters::concurrent_threads = before;
  for (std::thread& thread : threads) thread.join();
  // A sweep's workers need what the optimisers of large models had.
  return_freed_memory();
  if (error) std::rethrow_exception(error);
  return made;
}

}  // namespace assay
