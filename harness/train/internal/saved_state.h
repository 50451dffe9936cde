/// The state of a training that can go on from it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/cost.h"
#include "harness/core/json.h"

namespace assay {

/// What training has seen of validation splits.
struct ValidationLook {
  int64_t step = 0;
  double loss = 0;
};

struct TrainingState {
  int64_t step = 0;            ///< steps that are done
  int64_t tokens = 0;          ///< of the texts seen
  std::vector<double> losses;  ///< of every step
  std::vector<ValidationLook> looks;
  Cost cost;                 ///< of the steps that are done
  StateDict weights;         ///< of all tensors that training changes
  StateDict means, squares;  ///< AdamW's running means of gradients and of their squares
  /// AdamW's steps of each tensor: fewer where some steps gave it no gradient, as an expert of a
  /// mixture that no token was sent to.
  std::map<std::string, int64_t> updates;
  StateDict best;  ///< the weights of the best look; empty: none

  /// The index of the look with the lowest loss, the first of equals.
  size_t best_look() const;
};

/// Next to a checkpoint's folder, for as long as it is not finished.
class StateFile {
 public:
  /// `identity`: of the recipe, so that a state of another one is not used.
  StateFile(const std::filesystem::path& checkpoint, std::string identity);
  /// Absent when there is none of this recipe; a broken one is reported.
  std::optional<TrainingState> read() const;
  /// Atomic: DataError when it cannot be written, and the earlier state stays.
  void write(const TrainingState& state) const;
  void remove() const;

 private:
  std::filesystem::path path_;
  std::string identity_;
};

}  // namespace assay
