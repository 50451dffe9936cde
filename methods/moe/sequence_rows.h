/// What routers of sequences compare a prompt with: a row for each expert.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/method/evidence.h"
#include "harness/method/job.h"

namespace assay {

/// Normal random numbers, float32 of this shape: a stream for each row, keyed by the tensor.
at::Tensor random_rows(const TensorParts& tensor, at::IntArrayRef shape);

/// Of each expert the sum of the embeddings of its examples' tokens, of unit length: float64
/// [experts, width].
at::Tensor embedding_rows(const Network& network, size_t experts, int64_t batch);

struct Tfidf {
  at::Tensor idf;   ///< float64 [vocabulary]
  at::Tensor rows;  ///< float64 [experts, vocabulary], of unit length
};

/// Of each expert the mean of its examples' vectors of counts times idf, each of unit length. With
/// n examples of all experts, of which d have a token, its idf is 1 + ln((1 + n) / (1 + d)), as
/// scikit-learn smoothes it.
Tfidf tfidf_rows(const Network& network, size_t experts, int64_t batch);

/// The same idf, and rows of a multinomial logistic regression without a constant that tells by
/// such vectors whose example a text is: they minimise the mean cross entropy plus half of
/// `weight_decay` times their squares, as scikit-learn's LogisticRegression with C = 1 / (examples
/// * weight_decay). Tokens of no example have 0. DataError when the loss is not finite.
Tfidf logistic_rows(const Network& network, size_t experts, int64_t batch, double weight_decay);

}  // namespace assay
