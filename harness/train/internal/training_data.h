/// The examples of a mixture.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/lm/encoded_texts.h"
#include "harness/model/encoder.h"
#include "harness/task/task.h"
#include "harness/train/recipe.h"

namespace assay {

class TrainingData {
 public:
  virtual ~TrainingData() = default;

  /// What cross entropy compares.
  struct Rows {
    at::Tensor scores;   ///< [rows, classes], with gradients
    at::Tensor targets;  ///< int64 [rows]
  };

  /// The number of examples: of a long text, windows.
  virtual int64_t size() const = 0;
  /// The rows of the examples at these places. `step`: of the training that looks at them, which
  /// may change them at random (augmentation); absent: as they are.
  virtual Rows rows(const Architecture& architecture, const StateDict& weights,
                    std::span<const int64_t> places, std::optional<int64_t> step) const = 0;
  /// How many rows they have.
  virtual int64_t row_count(std::span<const int64_t> places) const = 0;
  /// Tokens of their texts; 0 for other inputs.
  virtual int64_t tokens(std::span<const int64_t> places) const = 0;
  /// What the model reads of the text at this place; zeros for other inputs.
  virtual ExampleLength length(int64_t place) const = 0;
  /// Items of the tasks' data in each part of the mixture.
  const std::vector<int64_t>& items() const { return items_; }

 protected:
  std::vector<int64_t> items_;
};

/// The mixture's items of a split: of train those that the recipe names, of the others
/// `items_per_task` of each task, or all. They are drawn by the recipe's seed. `where` names the
/// checkpoint in messages. DataError when a split has fewer items than are asked for, or none.
std::unique_ptr<const TrainingData> read_training_data(const Recipe& file,
                                                       const CheckpointRecipe& recipe, Split split,
                                                       int64_t items_per_task,
                                                       const std::string& where);

/// The items of the split that a part of the mixture has, drawn by the seed.
std::vector<int64_t> drawn_items(const CheckpointRecipe& recipe, const MixturePart& part,
                                 Split split, int64_t available, int64_t items_per_task,
                                 const std::string& where);

/// Of classifiers of images and the like, and of models of text.
std::unique_ptr<const TrainingData> plain_data(const CheckpointRecipe& recipe, Split split,
                                               int64_t items_per_task, const std::string& where);
std::unique_ptr<const TrainingData> text_data(const Recipe& file, const CheckpointRecipe& recipe,
                                              Split split, int64_t items_per_task,
                                              const std::string& where);
/// Of encoders whose masked tokens are predicted: other ones in every step.
std::unique_ptr<const TrainingData> masked_data(const Recipe& file, const CheckpointRecipe& recipe,
                                                const EncoderArchitecture& model, Split split,
                                                int64_t items_per_task, const std::string& where);

/// Calls `add` with every drawn item of the mixture and its task; gives the number of each part.
std::vector<int64_t> for_each_item(
    const CheckpointRecipe& recipe, Split split, int64_t items_per_task, const std::string& where,
    const std::function<void(const ItemRequests& item, const std::string& task)>& add);

}  // namespace assay
