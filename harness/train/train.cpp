#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <thread>

#include "harness/checkpoint/own_folder.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/file_lock.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/core/provenance.h"
#include "harness/core/rng.h"
#include "harness/cost/meter.h"
#include "harness/kernels/one_thread.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"
#include "harness/train/recipe.h"

namespace assay {
namespace {

struct Mixture {
  Examples examples;
  std::vector<int64_t> sizes;  // of the parts
};

Mixture read_mixture(const CheckpointRecipe& recipe, const std::string& where) {
  std::vector<at::Tensor> inputs, targets;
  Mixture mixture;
  for (const MixturePart& part : recipe.mixture) {
    const Examples all = load_task(part.task)->examples(Split::kTrain);
    const int64_t available = all.inputs.size(0);
    const int64_t wanted = part.examples.value_or(available);
    if (wanted > available)
      data_error("{}: {} examples of '{}' are requested, its train split has {}", where, wanted,
                 part.task, available);
    auto drawn = Rng(recipe.seed, "examples of " + part.task).permutation(available);
    drawn.resize(static_cast<size_t>(wanted));
    const at::Tensor index = at::tensor(drawn, at::kLong);
    inputs.push_back(all.inputs.index_select(0, index));
    targets.push_back(all.targets.index_select(0, index));
    mixture.sizes.push_back(wanted);
  }
  mixture.examples = {at::cat(inputs), at::cat(targets)};
  return mixture;
}

/// Minibatches without end; a new permutation for every epoch. A batch may span two epochs.
class Minibatches {
 public:
  Minibatches(const Examples& examples, int64_t batch, uint64_t key)
      : examples_(examples), batch_(batch), rng_(key) {}

  Examples next() {
    std::vector<int64_t> indices;
    while (static_cast<int64_t>(indices.size()) < batch_) {
      if (position_ == order_.size()) {
        order_ = rng_.permutation(examples_.inputs.size(0));
        position_ = 0;
      }
      indices.push_back(order_[position_++]);
    }
    const at::Tensor index = at::tensor(indices, at::kLong);
    return {examples_.inputs.index_select(0, index), examples_.targets.index_select(0, index)};
  }

 private:
  const Examples& examples_;
  int64_t batch_;
  Rng rng_;
  std::vector<int64_t> order_;
  size_t position_ = 0;
};

double learning_rate_at(const CheckpointRecipe& recipe, int64_t step) {
  if (recipe.schedule == "constant") return recipe.learning_rate;
  const double fraction = static_cast<double>(step) / static_cast<double>(recipe.steps);
  return recipe.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * fraction));
}

/// Trains `weights` in place; returns the mean loss over the last tenth of the steps.
double train(const Architecture& architecture, const CheckpointRecipe& recipe,
             const Examples& examples, const std::string& where, StateDict& weights) {
  const c10::AutoGradMode with_gradients(true);
  std::vector<at::Tensor> parameters;
  for (auto& [unused, tensor] : weights) parameters.push_back(tensor.requires_grad_(true));
  torch::optim::AdamW optimizer(
      parameters,
      torch::optim::AdamWOptions(recipe.learning_rate).weight_decay(recipe.weight_decay));

  Minibatches batches(examples, recipe.batch, stream_key(recipe.seed, "order for " + recipe.name));
  Progress progress("train " + recipe.name, recipe.steps);
  const int64_t last_tenth = recipe.steps - std::max<int64_t>(1, recipe.steps / 10);
  double loss_sum = 0;
  for (int64_t step = 0; step < recipe.steps; ++step) {
    optimizer.param_groups().front().options().set_lr(learning_rate_at(recipe, step));
    const Examples batch = batches.next();
    optimizer.zero_grad();
    at::Tensor loss =
        at::cross_entropy_loss(architecture.logits(weights, batch.inputs), batch.targets);
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      data_error("{}: the loss is {} at step {} of {}; a smaller learning_rate than {} may help",
                 where, value, step + 1, recipe.steps, recipe.learning_rate);
    loss.backward();
    optimizer.step();
    counters::examples += recipe.batch;
    counters::gradient_steps += 1;
    if (step >= last_tenth) loss_sum += value;
    progress.advance();
  }
  for (auto& [unused, tensor] : weights) tensor = tensor.detach();
  return loss_sum / static_cast<double>(recipe.steps - last_tenth);
}

Json describe(const Recipe& file, const CheckpointRecipe& recipe,
              const std::vector<int64_t>& sizes) {
  Json examples = Json::object();
  for (size_t i = 0; i < sizes.size(); ++i) examples[recipe.mixture[i].task] = sizes[i];
  return {{"assay", 1},
          {"name", recipe.name},
          {"role", recipe.role},
          {"recipe_hash", file.hash(recipe.name)},
          {"init", recipe.init},
          {"trained_on", file.trained_on(recipe.name)},
          {"pretrained_on", file.pretrained_on(recipe.name)},
          {"examples", examples},
          {"steps", recipe.steps},
          {"batch", recipe.batch},
          {"learning_rate", recipe.learning_rate},
          {"weight_decay", recipe.weight_decay},
          {"schedule", recipe.schedule},
          {"seed", recipe.seed}};
}

/// Null when the folder has no checkpoint of this recipe. `log_mismatch`: logs the reason.
std::shared_ptr<const Checkpoint> open_matching(const Recipe& recipe, const std::string& name,
                                                const std::filesystem::path& folder,
                                                bool log_mismatch) {
  const std::filesystem::path path = folder / name;
  const std::string hash = recipe.hash(name);
  if (!path_exists(path)) return nullptr;
  try {
    auto checkpoint = Checkpoint::open(plain_path(path));
    const Json& origin = checkpoint->origin();
    if (origin.is_object() && origin.value("recipe_hash", "") == hash) return checkpoint;
    if (log_mismatch) log_info("{}: made by another recipe", path.string());
  } catch (const DataError& error) {
    if (log_mismatch) log_warning("{}", error.what());
  }
  return nullptr;
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
    if (!logged) log_info("'{}': another process is making it; waiting", destination.string());
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
  std::shared_ptr<const Checkpoint> init;
  if (entry.init != "random") init = ensure_checkpoint(recipe, entry.init, folder);

  const std::string where = fmt::format("recipe '{}', checkpoint '{}'", recipe.name(), name);
  const auto architecture = make_architecture(JsonReader(recipe.architecture(), where));
  const Mixture mixture = read_mixture(entry, where);
  const OneThread single_thread;
  Meter meter;
  StateDict weights = init ? load_weights(*architecture, *init, at::kCPU)
                           : architecture->initial_weights(entry.seed);
  for (auto& [unused, tensor] : weights)
    tensor = tensor.clone();  // a copy of the memory-mapped file
  const double final_loss = train(*architecture, entry, mixture.examples, where, weights);

  Json origin = describe(recipe, entry, mixture.sizes);
  origin["final_loss"] = final_loss;
  origin["cost"] = meter.stop();
  origin["provenance"] = {{"git_revision", git_revision()},
                          {"compiler", compiler_name()},
                          {"libtorch", ASSAY_LIBTORCH_VERSION},
                          {"cpu", cpu_name()},
                          {"os", os_name()},
                          {"made", utc_now()}};
  check_destination(folder / name);
  write_checkpoint(folder / name, weights, {recipe.architecture(), origin, "", {}}, true);
  return Checkpoint::open(plain_path(folder / name));
}

}  // namespace assay
