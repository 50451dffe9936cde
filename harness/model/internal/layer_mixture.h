/// Decoders of one form between one embedding and one head, whose layers read and write one
/// residual stream: MergeME without training (arXiv:2502.00997 §3.2).
#pragma once

#include <memory>
#include <vector>

#include "harness/model/language.h"

namespace assay {

class Decoder;

/// One model of all, which sums by `shares` what their attentions add to the stream, then what
/// their feed-forwards add. Embedding, last norm and head are the first one's.
std::shared_ptr<const LanguageArchitecture> layer_mixture(std::shared_ptr<const Decoder> decoder,
                                                          std::vector<LanguageModel> models,
                                                          const std::vector<double>& shares);

}  // namespace assay
