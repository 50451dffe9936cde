/// Token embeddings, and the heads and copies that a model may tie to them.
#pragma once

#include <string>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// Whether a tensor of this name is a copy of the embedding in models that tie them: a language
/// model's head, or the encoder's or decoder's name for a shared embedding.
bool is_head(const std::string& name);

/// Whether heads would be tied to a tensor of this name.
bool is_embedding(const std::string& name);

/// The embeddings that heads would be tied to. of() is nullptr where there is none.
struct Embeddings {
  explicit Embeddings(const TensorSource& source);
  const TensorInfo* of(const std::string& head) const;

 private:
  const TensorInfo *any_ = nullptr, *shared_ = nullptr;
};

/// Whether a sample of the head's values equals the embedding's, which has the same shape.
bool seem_equal(const TensorSource& source, const TensorInfo& head, const TensorInfo& embedding);

}  // namespace assay
