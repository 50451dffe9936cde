/// Vision transformers (Dosovitskiy et al., arXiv:2010.11929): an image in patches, a token for the
/// whole of it, pre-norm blocks, and what the last norm gives of that token.
#pragma once

#include <string>

#include "harness/model/image_encoder.h"
#include "harness/model/internal/pre_norm_blocks.h"

namespace assay {

struct VisionTransformerConfig : PreNormConfig {
  std::string model{};  ///< for messages
  int64_t channels = 3, image_size = 0, patch_size = 0;
  double initializer_range = 0.02;

  // Names of tensors outside the blocks.
  std::string class_token{};  ///< [width], or see leading_ones
  std::string positions{};    ///< [tokens, width], likewise
  std::string patches{};      ///< the convolution
  std::string first_norm{};   ///< before the blocks; empty: none
  std::string last_norm{};
  bool patch_bias = true;
  bool leading_ones = false;  ///< class token [1, 1, width] and positions [1, tokens, width]

  /// The head: a linear layer; 0 outputs: none, and logits() gives the image's features.
  std::string head{};
  int64_t outputs = 0;
  bool head_bias = true;
  bool head_of_classes = true;  ///< else it projects features into another space

  CheckpointNames names{};
};

/// UserError where the image is not divided into whole patches or the width into heads; `where`
/// names the file.
std::unique_ptr<Architecture> make_vision_transformer(VisionTransformerConfig config, Json json,
                                                      const std::string& where);

}  // namespace assay
