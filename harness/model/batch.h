/// Examples for one forward pass of any architecture (forward.h).
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

/// Padding may be anywhere, with any valid id.
struct ModelBatch {
  /// Classifiers of images and the like: [n, item...] of a floating dtype. All others: token ids
  /// int64 [n, tokens], which an encoder or an encoder-decoder's encoder reads whole.
  at::Tensor inputs;
  at::Tensor mask{};   ///< bool [n, tokens], false at padding; undefined: no padding
  at::Tensor types{};  ///< encoders: token types int64 [n, tokens]; undefined: 0
  /// Encoder-decoders: int64 [n, decoder tokens], the first of which is start_id().
  at::Tensor decoder_ids{};
  at::Tensor decoder_mask{};  ///< bool [n, decoder tokens], false at padding; undefined: no padding
  /// Models that generate text: bool, of the shape of decoder_ids, or of `inputs` where there is no
  /// decoder_ids: true at the tokens whose next token is scored. Encoders: of the shape of
  /// `inputs`, true at the tokens that are predicted where they stand; undefined: a text has one
  /// row.
  at::Tensor scored{};
};

}  // namespace assay
