/// Models with an embedding and a head, for tests of what is reconciled between models.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "harness/merge/request/reconcile.h"
#include "tests/merge/models.h"

namespace assay::testing {

inline constexpr const char* kEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHead = "lm_head.weight";

/// A model with an embedding whose row i holds i * step twice, a head that is its negative, and a
/// layer.
inline MergeModel model(const std::string& label, int64_t rows, float step,
                        Json config = Json::object()) {
  at::Tensor embedding = (at::arange(rows, at::kFloat) * step).unsqueeze(1).repeat({1, 2});
  config["vocab_size"] = rows;
  return {
      source(label, {{kEmbedding, embedding}, {kHead, -embedding}, {"layer", at::ones({3, 3})}}),
      config};
}

}  // namespace assay::testing
