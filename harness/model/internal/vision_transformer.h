/// Vision transformers (Dosovitskiy et al., arXiv:2010.11929): an image in patches, a token for the
/// whole of it, pre-norm blocks, and what the last norm gives of that token.
#pragma once

#include <string>

#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {

struct VisionTransformerConfig {
  std::string model{};  ///< for messages
  int64_t channels = 3, image_size = 0, patch_size = 0;
  int64_t width = 0, layers = 0, heads = 0;
  double norm_epsilon = 0, initializer_range = 0.02;
  bool query_bias = true;  ///< of query, key and value
  FeedForwardShape feed_forward{};

  // Names of tensors. That of a part of a block follows the block's.
  std::string class_token{};  ///< of the shape class_shape
  std::string positions{};    ///< of the shape position_shape
  std::string patches{};      ///< the convolution
  std::string first_norm{};   ///< before the blocks; empty: none
  std::string block{};        ///< before the index: "vit.encoder.layer."
  std::string query{}, key{}, value{}, attention_output{}, attention_norm{};
  std::string up{}, down{}, feed_forward_norm{};
  std::string last_norm{};
  bool patch_bias = true;
  bool leading_ones = false;  ///< class token [1, 1, width] and positions [1, tokens, width]

  /// The head: a linear layer; 0 outputs: none, and logits() gives the image's features.
  std::string head{};
  int64_t outputs = 0;
  bool head_bias = true;

  CheckpointNames names{};
};

/// UserError where the image is not divided into whole patches or the width into heads; `where`
/// names the file.
std::unique_ptr<Architecture> make_vision_transformer(VisionTransformerConfig config, Json json,
                                                      const std::string& where);

}  // namespace assay
