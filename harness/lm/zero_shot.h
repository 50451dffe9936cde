/// Zero-shot heads (CLIP; Radford et al., arXiv:2103.00020, section 3.1): classes are described by
/// texts, and an image belongs to the class whose text's features are closest to its own. The head
/// is a constant that belongs to a task. No merge changes it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "harness/model/encoder.h"

namespace assay {

/// The text tower of a model: of a CLIP model (model_type "clip"), or a lone one with projection.
/// UserError for other models; DataError as Checkpoint::open() and load_weights().
EncoderModel open_text_tower(const std::string& model, const std::string& where, at::Device device);

struct ZeroShotSpec {
  std::string model;                     ///< name of a model with a text tower
  std::vector<std::string> class_names;  ///< in the order of the labels
  std::vector<std::string> templates;    ///< each has "{}" where the class name goes
};

/// Each class: the mean of its templates' normalised embeddings, normalised. Float64 [classes,
/// width] on the CPU. Embeddings are kept in the response cache.
at::Tensor zero_shot_head(const EncoderModel& tower, const ZeroShotSpec& spec,
                          const std::string& where);

class ZeroShotHead {
 public:
  /// Reads headers and content hashes, no weights. Errors as open_text_tower(), at `where`.
  ZeroShotHead(ZeroShotSpec spec, std::string where);
  /// Of everything that determines the head.
  const std::string& hash() const { return hash_; }
  /// Scores of the classes, [n, classes] in the features' dtype and on their device: cosine
  /// similarities times exp(logit_scale) of the model, or 100 where it has none. Builds the head
  /// when it is first needed. DataError where images and texts have features of different widths.
  at::Tensor logits(const at::Tensor& features) const;

 private:
  ZeroShotSpec spec_;
  std::string where_, hash_;
  double scale_ = 100;  ///< what CLIP's training limits the scale to
  mutable std::mutex mutex_;
  mutable at::Tensor head_;  ///< undefined until it is needed
};

}  // namespace assay
