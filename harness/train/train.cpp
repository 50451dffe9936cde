#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <fnmatch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
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
#include "harness/model/batch_norm.h"
#include "harness/task/task.h"
#include "harness/train/recipe.h"

namespace assay {
namespace {

struct Mixture {
  Examples examples;
  std::vector<int64_t> sizes;      // of the parts
  std::vector<at::Tensor> labels;  // those that each part's task has, ascending
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
    mixture.labels.push_back(std::get<0>(at::_unique(all.targets)));
  }
  mixture.examples = {at::cat(inputs), at::cat(targets)};
  return mixture;
}

/// Minibatches without end; a new permutation for every epoch. A batch may span two epochs.
class Minibatches {
 public:
  Minibatches(int64_t examples, int64_t batch, uint64_t key)
      : examples_(examples), batch_(batch), rng_(key) {}

  /// Places of the examples.
  at::Tensor next() {
    std::vector<int64_t> indices;
    while (static_cast<int64_t>(indices.size()) < batch_) {
      if (position_ == order_.size()) {
        order_ = rng_.permutation(examples_);
        position_ = 0;
      }
      indices.push_back(order_[position_++]);
    }
    return at::tensor(indices, at::kLong);
  }

 private:
  int64_t examples_;
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

/// Adds -infinity to the scores of the classes that an example's task does not have.
class OwnLabels {
 public:
  explicit OwnLabels(const Mixture& mixture) : labels_(mixture.labels) {
    std::vector<at::Tensor> parts;
    for (size_t part = 0; part < mixture.sizes.size(); ++part)
      parts.push_back(at::full({mixture.sizes[part]}, static_cast<int64_t>(part), at::kLong));
    part_of_ = at::cat(parts);
  }
  at::Tensor mask(const at::Tensor& scores, const at::Tensor& index) {
    if (!excluded_.defined()) {
      excluded_ = at::ones({static_cast<int64_t>(labels_.size()), scores.size(1)}, at::kBool);
      for (size_t part = 0; part < labels_.size(); ++part)
        excluded_[static_cast<int64_t>(part)].index_fill_(0, labels_[part], false);
    }
    return scores.masked_fill(excluded_.index_select(0, part_of_.index_select(0, index)),
                              -std::numeric_limits<double>::infinity());
  }

 private:
  const std::vector<at::Tensor>& labels_;
  at::Tensor part_of_;   // of each example
  at::Tensor excluded_;  // bool [parts, classes]
};

bool is_frozen(const CheckpointRecipe& recipe, const std::string& tensor) {
  return std::any_of(recipe.freeze.begin(), recipe.freeze.end(), [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), tensor.c_str(), 0) == 0;
  });
}

/// Of BatchNorm layers, as PyTorch updates them: they move by a tenth towards those of each batch.
class RunningMoments {
 public:
  RunningMoments(const Architecture& architecture, const CheckpointRecipe& recipe)
      : names_(running_moments_of(architecture)) {
    for (const std::string& layer : batch_norms_of(architecture))
      if (is_frozen(recipe, layer + ".running_mean")) fixed_.insert(layer);
  }
  const std::set<std::string>& names() const { return names_; }
  /// Layers whose moments are frozen: they go on to normalise by these.
  const std::set<std::string>& fixed() const { return fixed_; }
  static void update(const BatchNormByBatch& batch, StateDict& weights) {
    constexpr double kMomentum = 0.1;
    const c10::NoGradGuard no_gradients;
    for (const auto& [layer, moments] : batch.moments()) {
      weights.at(layer + ".running_mean").lerp_(moments.mean, kMomentum);
      weights.at(layer + ".running_var").lerp_(moments.variance, kMomentum);
    }
  }

 private:
  std::set<std::string> names_, fixed_;
};

std::vector<at::Tensor> trained_tensors(const CheckpointRecipe& recipe, const std::string& where,
                                        const std::set<std::string>& running_moments,
                                        StateDict& weights) {
  for (const std::string& glob : recipe.freeze)
    if (std::none_of(weights.begin(), weights.end(), [&](const auto& entry) {
          return ::fnmatch(glob.c_str(), entry.first.c_str(), 0) == 0;
        }))
      user_error("{}: 'freeze' names '{}', and the model has no such tensor", where, glob);
  std::vector<at::Tensor> parameters;
  for (auto& [name, tensor] : weights)
    if (!is_frozen(recipe, name) && !running_moments.contains(name))
      parameters.push_back(tensor.requires_grad_(true));
  if (parameters.empty()) user_error("{}: 'freeze' leaves no tensor to train", where);
  return parameters;
}

/// Trains `weights` in place; returns the mean loss over the last tenth of the steps.
double train(const Architecture& architecture, const CheckpointRecipe& recipe,
             const Mixture& mixture, const std::string& where, StateDict& weights) {
  const c10::AutoGradMode with_gradients(true);
  const Examples& examples = mixture.examples;
  const RunningMoments running(architecture, recipe);
  const std::vector<at::Tensor> parameters =
      trained_tensors(recipe, where, running.names(), weights);
  OwnLabels own(mixture);
  torch::optim::AdamW optimizer(
      parameters,
      torch::optim::AdamWOptions(recipe.learning_rate).weight_decay(recipe.weight_decay));

  Minibatches batches(examples.inputs.size(0), recipe.batch,
                      stream_key(recipe.seed, "order for " + recipe.name));
  Progress progress("train " + recipe.name, recipe.steps);
  const int64_t last_tenth = recipe.steps - std::max<int64_t>(1, recipe.steps / 10);
  double loss_sum = 0;
  for (int64_t step = 0; step < recipe.steps; ++step) {
    optimizer.param_groups().front().options().set_lr(learning_rate_at(recipe, step));
    const at::Tensor index = batches.next();
    optimizer.zero_grad();
    BatchNormByBatch batch(running.fixed());
    at::Tensor scores = architecture.logits(weights, examples.inputs.index_select(0, index));
    if (recipe.loss == "own_labels") scores = own.mask(scores, index);
    at::Tensor loss = at::cross_entropy_loss(scores, examples.targets.index_select(0, index));
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      data_error("{}: the loss is {} at step {} of {}; a smaller learning_rate than {} may help",
                 where, value, step + 1, recipe.steps, recipe.learning_rate);
    loss.backward();
    optimizer.step();
    RunningMoments::update(batch, weights);
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
          {"loss", recipe.loss},
          {"freeze", recipe.freeze},
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
  const double final_loss = train(*architecture, entry, mixture, where, weights);

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
