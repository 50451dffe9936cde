/// The values of GGUF's quantised blocks. The arithmetic is that of the Python package gguf, in
/// float32 and in its order, so that values are equal bit for bit.
#pragma once

#include "harness/checkpoint/gguf.h"

namespace assay {

/// Writes the values of one block to `out`, which has room for block_of(type).values of them.
/// `type` is a quantised one, neither F32, F16 nor BF16.
void read_block(GgufType type, const uint8_t* block, float* out);

}  // namespace assay
