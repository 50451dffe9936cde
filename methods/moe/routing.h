/// The statistic 'routing' of one layer, by column.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// What a router did with an expert model's tokens. Vectors have a value for each expert.
struct Routing {
  std::vector<double> usage;     ///< the share of all choices: they sum to 1; 0 without any
  std::vector<double> saliency;  ///< the mean of weight * |output| over the tokens it was sent
  at::Tensor logits;             ///< [experts, experts]: mean products of logits over all tokens
  at::Tensor inputs;   ///< [experts, width]: the mean input of the tokens it was sent; 0 of none
  at::Tensor outputs;  ///< [experts, width]: the mean output on all tokens; undefined where the
                       ///< statistic has none
};

/// The entropy of usages over the largest that so many experts could have: 1 where all are used
/// alike.
double usage_entropy(const std::vector<double>& usage);

/// `statistic`: Evidence::statistic(); `with_outputs`: its parameter. DataError when it has no such
/// router.
Routing read_routing(const TensorSource& statistic, const std::string& router, bool with_outputs);

}  // namespace assay
