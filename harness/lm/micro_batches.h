/// The parts of a batch that go through a model one after the other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "harness/lm/encoded_texts.h"

namespace assay {

/// Divides the examples at these `places` into micro-batches of at most `most` examples, so that
/// little of what is computed is padding. A batch of which at most a quarter is padding is not
/// divided by length. Of any other the shortest texts go first, and a micro-batch ends before the
/// text with which more than a quarter of it would be padding. `lengths`: of each place; a position
/// is a token, or the padding in its stead, that an encoder or a decoder reads. Examples of one
/// micro-batch keep their order.
std::vector<std::vector<int64_t>> micro_batches(std::span<const int64_t> places,
                                                std::span<const ExampleLength> lengths,
                                                size_t most);

}  // namespace assay
