#include <ATen/ATen.h>

#include <limits>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/train/internal/augment.h"
#include "harness/train/internal/training_data.h"

namespace assay {
namespace {

at::Tensor as_index(std::span<const int64_t> places) {
  return at::tensor(at::IntArrayRef(places.data(), places.size()), at::kLong);
}

class PlainData final : public TrainingData {
 public:
  PlainData(const CheckpointRecipe& recipe, Split split, int64_t items_per_task,
            const std::string& where)
      : own_labels_(recipe.loss == "own_labels"), augment_(recipe.augment), seed_(recipe.seed) {
    std::vector<at::Tensor> inputs, targets, parts;
    for (const MixturePart& part : recipe.mixture) {
      const Examples all = load_task(part.task, where, part.changes)->examples(split);
      const at::Tensor index = at::tensor(
          drawn_items(recipe, part, split, all.inputs.size(0), items_per_task, where), at::kLong);
      inputs.push_back(all.inputs.index_select(0, index));
      targets.push_back(all.targets.index_select(0, index));
      parts.push_back(at::full({index.size(0)}, static_cast<int64_t>(labels_.size()), at::kLong));
      labels_.push_back(std::get<0>(at::_unique(all.targets)));
      items_.push_back(index.size(0));
    }
    examples_ = {at::cat(inputs), at::cat(targets)};
    part_of_ = at::cat(parts);
  }

  int64_t size() const override { return examples_.inputs.size(0); }
  Rows rows(const Architecture& architecture, const StateDict& weights,
            std::span<const int64_t> places, std::optional<int64_t> step) const override {
    const at::Tensor index = as_index(places);
    at::Tensor inputs = examples_.inputs.index_select(0, index);
    if (step && augment_) inputs = augmented(inputs, places, *augment_, seed_, *step);
    at::Tensor scores = architecture.logits(weights, inputs);
    if (own_labels_) scores = mask(scores, index);
    return {scores, examples_.targets.index_select(0, index)};
  }
  int64_t row_count(std::span<const int64_t> places) const override {
    return static_cast<int64_t>(places.size());
  }
  int64_t tokens(std::span<const int64_t>) const override { return 0; }
  ExampleLength length(int64_t) const override { return {}; }

 private:
  /// Adds -infinity to the scores of the classes that an example's task does not have.
  at::Tensor mask(const at::Tensor& scores, const at::Tensor& index) const {
    if (!excluded_.defined()) {
      excluded_ = at::ones({static_cast<int64_t>(labels_.size()), scores.size(1)}, at::kBool);
      for (size_t part = 0; part < labels_.size(); ++part)
        excluded_[static_cast<int64_t>(part)].index_fill_(0, labels_[part], false);
    }
    return scores.masked_fill(excluded_.index_select(0, part_of_.index_select(0, index)),
                              -std::numeric_limits<double>::infinity());
  }

  bool own_labels_;
  std::optional<Augmentation> augment_;
  uint64_t seed_;
  Examples examples_;
  std::vector<at::Tensor> labels_;  // those that each part's task has, ascending
  at::Tensor part_of_;              // of each example
  mutable at::Tensor excluded_;     // bool [parts, classes]
};

}  // namespace

std::vector<int64_t> drawn_items(const CheckpointRecipe& recipe, const MixturePart& part,
                                 Split split, int64_t available, int64_t items_per_task,
                                 const std::string& where) {
  const bool trains = split == Split::kTrain;
  const int64_t wanted =
      trains ? part.examples.value_or(available) : std::min(items_per_task, available);
  if (available == 0)
    data_error("{}: the {} split of '{}' is empty", where, split_name(split), part.task);
  if (wanted > available)
    data_error("{}: {} examples of '{}' are requested, its train split has {}", where, wanted,
               part.task, available);
  // The same items for every checkpoint of one seed: a multitask model sees those of the experts.
  const std::string purpose =
      trains ? "examples of " + part.task : split_name(split) + " examples of " + part.task;
  auto drawn = Rng(recipe.seed, purpose).permutation(available);
  drawn.resize(static_cast<size_t>(wanted));
  return drawn;
}

std::unique_ptr<const TrainingData> plain_data(const CheckpointRecipe& recipe, Split split,
                                               int64_t items_per_task, const std::string& where) {
  return std::make_unique<PlainData>(recipe, split, items_per_task, where);
}

std::unique_ptr<const TrainingData> read_training_data(const Recipe& file,
                                                       const CheckpointRecipe& recipe, Split split,
                                                       int64_t items_per_task,
                                                       const std::string& where) {
  for (const MixturePart& part : recipe.mixture) {
    const auto task = load_task(part.task, where, part.changes);
    if (task->is_about_text() != (file.tokenizer() != nullptr))
      user_error("{}: the task '{}' is {}about texts, but the model reads {}", where, part.task,
                 task->is_about_text() ? "" : "not ", file.tokenizer() ? "texts only" : "none");
    task->check_split(split);
  }
  return file.tokenizer() ? text_data(file, recipe, split, items_per_task, where)
                          : plain_data(recipe, split, items_per_task, where);
}

}  // namespace assay
