/// Least squares of a partial merge: each layer's weights are fitted to what the layer gives in
/// every network, on what it reads there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "methods/permute/matching.h"
#include "methods/permute/partial.h"

namespace assay {

enum class RegressionSolver { kClosedForm, kAdam };

struct RegressionOptions {
  RegressionSolver solver = RegressionSolver::kClosedForm;
  /// Of the mean diagonal of the Gram matrix: how strongly the fit stays at the partial merge.
  double ridge = 1e-6;
  int64_t steps = 400;          ///< of Adam
  double learning_rate = 5e-4;  ///< of Adam, which a cosine takes to 0
  int64_t gram_bytes = 0;       ///< how much the Gram matrices of a pass over the data may take
};

/// What fitting did.
struct RegressionNotes {
  int64_t passes = 0;      ///< over the data
  int64_t gram_bytes = 0;  ///< what the matrices of the largest pass took
  double loss_before = 0;  ///< mean over layers of the squared error per output, as a share of the
                           ///< outputs' mean square
  double loss_after = 0;
};

/// Fits the weights, and the biases there are, of all layers in `result`, a partial merge of
/// networks whose units are matched (`models`): minimises |X W^T - Y|^2 layer by layer, where X and
/// Y are what the networks' layers read and gave, merged units' as their mean (PartialMerge), and
/// rows that belong to one network read merged units and its own. As a difference from the partial
/// merge, so that networks that are equal stay what they are. DataError when the matrices of one
/// layer take more than options.gram_bytes.
RegressionNotes fit_layers(const PartialMerge& merge, const ModelJob& job, const MatchingData& data,
                           const std::vector<StateDict>& models, const RegressionOptions& options,
                           StateDict& result);

}  // namespace assay
