#include "harness/kernels/internal/launch.cuh"
#include "harness/kernels/task_vector/delta_statistics.h"

namespace assay::cuda {
namespace {

__global__ void sign_sum_kernel(const Operand* operands, const DeltaTerm* terms, int count,
                                Elect elect, int64_t offset, int64_t elements, long long* sum) {
  long long signs = 0;
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const float base = load(operands[0], j);
    const auto value = [&](int i) {
      return term_element(load(operands[i + 1], j), base, terms[i], offset + j);
    };
    signs += static_cast<long long>(vote_sign(count_votes(count, value, elect)));
  }
  // Two's complement: adding a negative number as unsigned gives the right signed sum.
  if (signs != 0)
    atomicAdd(reinterpret_cast<unsigned long long*>(sum), static_cast<unsigned long long>(signs));
}

__global__ void l1_norms_kernel(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                                int64_t elements, int64_t blocks, double* whole, double* left) {
  const int64_t share = (elements + blocks - 1) / blocks;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t begin = block * share;
    const int64_t end = begin + share < elements ? begin + share : elements;
    double all = 0, some = 0;
    for (int64_t j = begin + threadIdx.x; j < end; j += kThreads) {
      const float changed = load(expert, j), start = load(base, j);
      all += fabs(static_cast<double>(plain_delta(changed, start, term.rounding)));
      some += fabs(static_cast<double>(delta_element(changed, start, term, offset + j)));
    }
    all = block_sum(all);
    some = block_sum(some);
    if (threadIdx.x == 0) {
      whole[block] = all;
      left[block] = some;
    }
  }
}

}  // namespace

void elected_sign_sum(const Operand* operands, const DeltaTerm* terms, int count, Elect elect,
                      int64_t offset, int64_t elements, long long* sum, void* stream) {
  launch_elements("elected_sign_sum", sign_sum_kernel, elements, stream, operands, terms, count,
                  elect, offset, elements, sum);
}

void delta_l1_norms(Operand base, Operand expert, DeltaTerm term, int64_t offset, int64_t elements,
                    int64_t blocks, double* whole, double* left, void* stream) {
  if (elements == 0) return;
  const unsigned grid = static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
  launch("delta_l1_norms", l1_norms_kernel, grid, stream, base, expert, term, offset, elements,
         blocks, whole, left);
}

}  // namespace assay::cuda
