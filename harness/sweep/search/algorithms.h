/// The algorithms of searches. Each is one file; make_search() chooses.
#pragma once

#include <memory>

#include "harness/sweep/search/search.h"
#include "harness/sweep/search/space.h"

namespace assay {

/// The greedy soup of arXiv:2203.05482: every expert alone, then, from the best to the worst, the
/// soup of those accepted so far and one more. It stays when the mean score grows (or is as good,
/// with SearchSpec::accept_equal). The list has the high end of its range for members and the low
/// end for the others.
std::unique_ptr<Search> greedy_search(const SearchSpec& spec, const Json& fixed,
                                      size_t num_experts);

/// Evolution strategy with covariance matrix adaptation on the mean score, from the row's own
/// parameters with a step of a sixth of each range. A generation has 4 + 3 ln n points.
std::unique_ptr<Search> cma_es_search(const SearchSpec& spec, const SearchSpace& space);

/// Non-dominated sorting genetic algorithm II with an objective for each task. A generation has
/// about as many points as there are generations.
std::unique_ptr<Search> nsga2_search(const SearchSpec& spec, SearchSpace space, size_t tasks);

}  // namespace assay
