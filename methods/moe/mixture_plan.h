/// Which tensors of which models a mixture of experts is made of.
#pragma once

#include <optional>
#include <vector>

#include "harness/method/output_plan.h"
#include "methods/moe/mixture_form.h"

namespace assay {

/// A mixture; models are indices among the experts, or TensorView::kBase.
struct MixtureShape {
  const MixtureForm& form;
  std::vector<size_t> routed;        ///< the experts that tokens are sent to
  std::optional<size_t> shared{};    ///< the one that every token is sent to
  bool shared_gate_is_zero = false;  ///< else it is the router's, where the form has one
  std::vector<size_t> rest{};        ///< what all other tensors are made of
  bool rest_with_base = false;       ///< by a method that has the base, too
  int64_t top_k = 0;
  int64_t rows_per_expert = 1;  ///< of a gate; with several there is a map from rows to experts
};

/// The embedding: its rows are as wide as a gate's. SkipCell when the model has none of that name.
const TensorInfo& embedding_of(const TensorSource& model);

/// Expert parts are planned from one model each, all other tensors from `rest`. Gates are rows of
/// the embedding, which have their width and dtype: their values are to be the router's. What the
/// form has and the dense models do not (biases of query, key and value) is zero. The map of a gate
/// that has several rows for an expert (slots_name()) is planned from as many entries of a norm,
/// and its values are expert_of_row()'s. SkipCell where the models do not fit the form, DataError
/// where their feed-forwards have other shapes than the reference's.
OutputPlan mixture_plan(const PlanInputs& models, const MixtureShape& shape);

}  // namespace assay
