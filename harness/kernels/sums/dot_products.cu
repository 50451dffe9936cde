#include "harness/kernels/internal/launch.cuh"
#include "harness/kernels/sums/dot_products.h"

namespace assay::cuda {
namespace {

/// Grid: x = block of elements, y = pair i <= j in row order.
__global__ void dot_products_kernel(const Operand* operands, int count, int64_t elements,
                                    int64_t blocks, double* partials) {
  int i = 0, pair = static_cast<int>(blockIdx.y);
  for (int row = count; pair >= row; --row, ++i) pair -= row;
  const Operand a = operands[i], b = operands[i + pair];
  const int64_t share = (elements + blocks - 1) / blocks;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t begin = block * share;
    const int64_t end = begin + share < elements ? begin + share : elements;
    double sum = 0;
    for (int64_t j = begin + threadIdx.x; j < end; j += kThreads)
      sum += product_element(load(a, j), load(b, j));
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.y * blocks + block] = sum;
  }
}

}  // namespace

void dot_products(const Operand* operands, int count, int64_t elements, int64_t blocks,
                  double* partials, void* stream) {
  if (elements == 0) return;
  const unsigned pairs = static_cast<unsigned>(count) * (static_cast<unsigned>(count) + 1) / 2;
  const dim3 grid(static_cast<unsigned>(blocks < 65535 ? blocks : 65535), pairs);
  launch("dot_products", dot_products_kernel, grid, stream, operands, count, elements, blocks,
         partials);
}

}  // namespace assay::cuda
