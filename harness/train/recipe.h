/// Training recipes. One JSON file describes an architecture and any number of named checkpoints,
/// each trained from scratch or from another one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/json.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// One part of a training mixture.
struct MixturePart {
  std::string task;                 ///< "digits/mnist-012"; its train split is used
  std::optional<int64_t> examples;  ///< number of examples, drawn by the seed; absent: all
  TaskChanges changes{};            ///< of the task's prompts
};

/// A LoRA adapter (Hu et al., arXiv:2106.09685), trained instead of the weights it is added to.
struct AdapterRecipe {
  int64_t rank = 0;
  double alpha = 0;                  ///< the product of the factors is scaled by alpha / rank
  std::vector<std::string> targets;  ///< names of layers, whole or as what follows a dot
};

/// Images are changed at random each time that training sees them.
struct Augmentation {
  int64_t crop = 0;   ///< pixels that they are shifted by at most, zeros move in
  bool flip = false;  ///< whether half of them are mirrored left to right
  bool operator==(const Augmentation&) const = default;
};

/// Training ends when the loss on validation splits has not improved, and gives the best weights.
struct EarlyStopping {
  int64_t every = 0;     ///< steps between two looks
  int64_t patience = 0;  ///< looks without improvement
  int64_t examples = 0;  ///< items of each task's validation split that are looked at
};

struct CheckpointRecipe {
  std::string name;  ///< also the folder's name
  std::string init;  ///< another checkpoint of the recipe, "random", or a model outside of it
  std::string role;  ///< "base", "expert" or "multitask"
  std::vector<MixturePart> mixture;
  int64_t steps = 0, batch = 0;
  double learning_rate = 0;  ///< of AdamW, the highest
  double weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< of AdamW
  /// Of the learning rate: "cosine" and "linear" (decay to 0) or "constant", after `warmup` steps
  /// in which it rises linearly from 0.
  std::string schedule = "cosine";
  int64_t warmup = 0;
  std::optional<double> clip_norm;  ///< the most that the norm of the gradient may be
  int64_t accumulate = 1;           ///< a batch goes through the model in so many parts
  /// "joint": cross entropy over all classes; of models that generate text, over all tokens.
  /// "own_labels": over those that the example's task has, as with a head per task. "answers": over
  /// the tokens of the answers that follow a prompt. "spans": of encoder-decoders, what was removed
  /// from texts (span_corruption.h). "masked": of encoders, tokens that were masked (masking.h).
  std::string loss = "joint";
  std::string precision = "float32";    ///< or "bf16": autocast, weights stay float32
  bool gradient_checkpointing = false;  ///< blocks run again in the backward pass, to save memory
  int64_t max_tokens = 0;               ///< of an example of text; 0: what the model accepts
  std::vector<std::string> freeze{};    ///< globs of tensors that are not trained
  std::optional<AdapterRecipe> adapter{};
  std::optional<Augmentation> augment{};
  std::optional<EarlyStopping> early_stopping{};
  int64_t threads = 1;     ///< of LibTorch; sums depend on it, so it is part of the hash
  int64_t save_every = 0;  ///< steps between two saved states; 0: about a minute
  uint64_t seed = 0;       ///< of the initial weights, and with the name of the examples' order
};

class Recipe {
 public:
  /// UserError, naming the location in the file, on unknown keys, missing settings, values out of
  /// range, missing or cyclic `init`s or more than 100 of them in a row, unknown architectures and
  /// tasks, models outside of the recipe that are not there or compute in another way than its
  /// architecture, and a tokenizer that is missing or has more tokens than the architecture. Reads
  /// no data.
  static Recipe read(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  const std::vector<CheckpointRecipe>& checkpoints() const { return checkpoints_; }
  /// UserError with the nearest name when there is none.
  const CheckpointRecipe& at(const std::string& checkpoint) const;
  /// Hash of all that determines the weights: architecture, recipe entry, data, and likewise those
  /// of `init`.
  std::string hash(const std::string& checkpoint) const;
  /// The tasks that a checkpoint was trained on after its base, in this step and earlier ones, and
  /// those that its base was pre-trained on.
  std::vector<std::string> trained_on(const std::string& checkpoint) const;
  std::vector<std::string> pretrained_on(const std::string& checkpoint) const;
  /// The content of config.json, every field included.
  const Json& architecture() const { return architecture_; }
  /// The models outside of the recipe that checkpoints are trained from, by their names.
  const std::map<std::string, std::shared_ptr<const Checkpoint>>& outside_models() const {
    return outside_;
  }
  /// The folder of the tokenizer's files, or a GGUF file; empty where the inputs are no texts.
  const std::filesystem::path& tokenizer_folder() const { return tokenizer_folder_; }
  /// Null where the inputs are no texts.
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }

 private:
  /// `where`: the location of a checkpoint's init in the file.
  void check_inits(const std::function<std::string(const std::string&)>& where) const;
  std::string hash_of_init(const CheckpointRecipe& recipe) const;
  std::vector<std::string> tasks_of(const std::string& checkpoint, bool of_bases) const;

  std::unique_ptr<const Architecture> read_architecture(JsonReader& root);
  void read_tokenizer(JsonReader& root, const Architecture& architecture);
  void open_outside_models(const std::function<std::string(const std::string&)>& where);

  std::filesystem::path folder_;  // of the file
  std::string name_;
  Json architecture_;
  std::filesystem::path tokenizer_folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<CheckpointRecipe> checkpoints_;
  std::map<std::string, std::shared_ptr<const Checkpoint>> outside_;
};

/// The checkpoint `folder`/NAME when the recipe hash in its assay.json is that of the recipe; null
/// otherwise. Its path is absolute.
std::shared_ptr<const Checkpoint> find_checkpoint(const Recipe& recipe, const std::string& name,
                                                  const std::filesystem::path& folder);

/// UserError unless a checkpoint can be written there: the path is free, or holds what a recipe
/// made.
void check_destination(const std::filesystem::path& path);

/// Opens find_checkpoint(), else trains the checkpoint (and its `init`) and replaces the folder if
/// a recipe made it (check_destination(), before any training). assay.json also records the tasks
/// it was trained on ("trained_on": in this step and earlier ones after the base) and pre-trained
/// on ("pretrained_on": by its base), items per part, steps, seed, cost, the losses and the final
/// loss (the mean over the last tenth of the steps). Training minimises cross entropy
/// (CheckpointRecipe::loss) with AdamW, on minibatches from a new permutation of the whole mixture
/// per epoch, on CheckpointRecipe::threads CPU threads, so that the bytes do not depend on the
/// number of cores. Its state is saved next to the folder now and then; a run that was killed goes
/// on from there and gives the bytes of an undisturbed one. When another process makes the same
/// checkpoint, waits for that and opens it. DataError, naming the recipe, when the loss is not
/// finite; the state saved last stays.
std::shared_ptr<const Checkpoint> ensure_checkpoint(const Recipe& recipe, const std::string& name,
                                                    const std::filesystem::path& folder);

/// How many checkpoints to train at a time on this machine: by its cores, and by the memory that is
/// free now for weights, gradients and the optimizer's means.
size_t training_jobs(const Recipe& recipe);

/// ensure_checkpoint() of all, `jobs` at a time. The first error ends it, after those in work.
std::vector<std::shared_ptr<const Checkpoint>> ensure_checkpoints(
    const Recipe& recipe, const std::vector<std::string>& names,
    const std::filesystem::path& folder, size_t jobs);

}  // namespace assay
