/// What validation scores decide.
#pragma once

#include "harness/sweep/plan.h"
#include "results/store.h"

namespace assay {

/// The candidate with the highest stored mean score, the first of equals; absent when none has a
/// score.
std::optional<size_t> chosen_candidate(const Choice& choice, const Store& store);

}  // namespace assay
