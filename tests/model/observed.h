/// Shared by tests of what observers see: an observer that sums Gram matrices, and batches for
/// every kind of architecture.
#pragma once

#include <ATen/ATen.h>

#include <map>

#include "harness/model/encoder.h"
#include "harness/model/forward.h"
#include "harness/model/generate.h"
#include "harness/model/observer.h"
#include "harness/model/sequence_to_sequence.h"
#include "tests/model/language_models.h"

namespace assay {

/// Sums x x^T over the inputs x of each layer, in float64, and counts them.
class GramObserver final : public LayerObserver {
 public:
  struct Gram {
    at::Tensor sum;
    int64_t rows = 0;
  };
  void layer(const LayerInput& input) override {
    if (input.window.groups > 1) return;  // no plain layer
    const at::Tensor rows = counted_rows(input).to(at::kDouble);
    Gram& gram = grams[input.weight];
    const at::Tensor product = at::mm(rows.t(), rows);
    gram.sum = gram.sum.defined() ? gram.sum + product : product;
    gram.rows += rows.size(0);
  }
  std::map<std::string, Gram> grams;  ///< by weight
};

inline std::unique_ptr<Architecture> example_architecture(const std::string& name) {
  return make_architecture(JsonReader(example_config(name), "config.json: $"));
}

/// Token ids with their mask, undefined without padding.
struct PaddedIds {
  at::Tensor ids, mask;
};
inline PaddedIds padded(const std::vector<TokenIds>& texts, Padding padding) {
  const TokenBatch batch = padded_batch(texts, padding);
  return {batch.ids, batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor()};
}

/// A batch of texts for any model that reads token ids; all tokens are scored. An encoder-decoder's
/// decoder reads `answers`.
inline ModelBatch text_batch(const Architecture& architecture, const std::vector<TokenIds>& texts,
                             const std::vector<TokenIds>& answers,
                             Padding padding = Padding::kRight) {
  const PaddedIds text = padded(texts, padding);
  ModelBatch batch{.inputs = text.ids, .mask = text.mask};
  const auto all = [](const PaddedIds& of) {
    return of.mask.defined() ? of.mask : at::ones_like(of.ids).to(at::kBool);
  };
  if (dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture)) {
    // Padding on the left would move the relative positions of the decoder's tokens.
    const PaddedIds answer = padded(answers, Padding::kRight);
    batch.decoder_ids = answer.ids;
    batch.decoder_mask = answer.mask;
    batch.scored = all(answer);
  } else if (!dynamic_cast<const EncoderArchitecture*>(&architecture)) {
    batch.scored = all(text);
  }
  return batch;
}

/// A batch of inputs of the architecture's shape: the sines of 0, 0.37, 0.74, ...
inline ModelBatch sine_batch(const Architecture& architecture, int64_t examples) {
  std::vector<int64_t> shape = architecture.item_shape();
  shape.insert(shape.begin(), examples);
  const at::Tensor zeros = at::zeros(shape, at::kDouble);
  const at::Tensor angles = at::arange(zeros.numel(), at::kDouble) * 0.37;
  return {.inputs = at::sin(angles).to(at::kFloat).view(shape)};
}

/// Two examples: texts of different lengths, or inputs of the architecture's shape.
inline ModelBatch small_batch(const Architecture& architecture) {
  if (!architecture.item_shape().empty()) return sine_batch(architecture, 2);
  return text_batch(architecture, {{3, 1, 4, 1}, {2, 7}}, {{0, 5}, {0, 9, 2}});
}

}  // namespace assay
