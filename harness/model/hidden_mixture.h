/// Decoders of any widths and depths between one embedding and one head: the heterogeneous form of
/// MergeME (arXiv:2502.00997 §3.3).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/language.h"

namespace assay {

/// The tensors of a decoder that have a row per token, by name.
struct VocabularyNames {
  std::string embedding;
  std::optional<std::string> head;  ///< absent where the embedding is the head
};
/// UserError when the architecture has no embedding that is known by its name.
VocabularyNames vocabulary_names(const LanguageArchitecture& architecture);

/// A decoder whose body, the blocks and the last norm, answers.
struct HiddenMember {
  LanguageModel model;
  at::Tensor in;   ///< [its width, width]: from the common embedding to what its body reads
  at::Tensor out;  ///< [width, its width]: back from its last hidden state
  double share;    ///< in the sum; the shares sum to 1
};

/// One model of all: hidden states are the sum by shares of out · body(in · embedding[id]), of
/// which `head` makes logits. `embedding` and `head` are [vocabulary, width]. Each body has its own
/// layers in the KV cache. Positions that a body adds or rotates by stay its own.
std::shared_ptr<const LanguageArchitecture> hidden_mixture(std::vector<HiddenMember> members,
                                                           at::Tensor embedding, at::Tensor head);

}  // namespace assay
