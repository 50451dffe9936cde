/// Embeddings and heads whose numbers of rows differ between models.
#pragma once

#include <vector>

#include "harness/merge/request/reconcile.h"

namespace assay {

/// Adjusts vocabulary tensors to one number of rows, as the policy says: a part of reconcile().
/// `adjustments`: of each model so far. Problems, notes and the new size go into `out`.
void reconcile_vocabulary(const std::vector<MergeModel>& models, VocabPolicy policy,
                          std::vector<Adjustments>& adjustments, Reconciled& out);

}  // namespace assay
