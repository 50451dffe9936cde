/// Image towers, with or without a head: without one they give features of images.
#pragma once

#include "harness/model/architecture.h"

namespace assay {

class ImageEncoder : public Architecture {
 public:
  /// Whether logits() gives scores of classes. Otherwise they are the image's features, which a
  /// head outside the model reads (lm/zero_shot.h).
  virtual bool has_classes() const = 0;
};

}  // namespace assay
