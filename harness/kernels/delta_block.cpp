#include "harness/kernels/delta_block.h"

#include "harness/kernels/blocks.h"

namespace assay {

void delta_block(const float* expert, const float* base, const DeltaTerm& term, int64_t begin,
                 int64_t size, float* out) {
  if (term.drop == 0.0f) {
    for (int64_t j = 0; j < size; ++j)
      out[j] = delta_element(expert[j], base[j], term, begin + j, 1.0f);
    return;
  }
  // One run of the generator gives the draws of four elements.
  for (int64_t group = 0; group < size; group += 4) {
    const Philox4 bits = philox4x32_10(static_cast<uint64_t>(begin + group) / 4, 0, term.key);
    for (int64_t j = group; j < std::min(group + 4, size); ++j)
      out[j] = delta_element(expert[j], base[j], term, begin + j, bits_to_uniform(bits.v[j % 4]));
  }
}

std::vector<float> term_block(const BlockValues& values, const std::vector<DeltaTerm>& terms,
                              int64_t begin, int64_t size) {
  std::vector<float> out(terms.size() * static_cast<size_t>(size));
  for (size_t i = 0; i < terms.size(); ++i) {
    float* row = out.data() + i * static_cast<size_t>(size);
    delta_block(values[static_cast<int>(i) + 1], values[0], terms[i], begin, size, row);
    for (int64_t j = 0; j < size; ++j) row[j] = weigh(row[j], terms[i]);
  }
  return out;
}

}  // namespace assay
