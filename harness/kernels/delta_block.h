/// delta.h over a block of elements on the host.
#pragma once

#include <vector>

#include "harness/kernels/delta.h"

namespace assay {

class BlockValues;

/// delta_element() of elements [begin, begin + size). `expert` and `base` point to element `begin`,
/// a multiple of 4; `out` has room for `size` values.
void delta_block(const float* expert, const float* base, const DeltaTerm& term, int64_t begin,
                 int64_t size, float* out);

/// term_element() of all experts: element j of expert i at [i * size + j]. `values` holds the base,
/// then the experts.
std::vector<float> term_block(const BlockValues& values, const std::vector<DeltaTerm>& terms,
                              int64_t begin, int64_t size);

}  // namespace assay
