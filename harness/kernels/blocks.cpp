#include "harness/kernels/blocks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <thread>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/launch.h"

namespace assay {
Storage storage_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return Storage::kFloat32;
    case at::kDouble:
      return Storage::kFloat64;
    case at::kHalf:
      return Storage::kFloat16;
    case at::kBFloat16:
      return Storage::kBFloat16;
    case at::kFloat8_e4m3fn:
      return Storage::kFloat8E4M3;
    case at::kFloat8_e5m2:
      return Storage::kFloat8E5M2;
    default:
      ASSAY_CHECK(false, "dtype {} is no kernel operand", toString(type));
  }
}

namespace {

std::vector<at::Tensor> with_base(const at::Tensor& base, const std::vector<at::Tensor>& experts) {
  std::vector<at::Tensor> all{base};
  all.insert(all.end(), experts.begin(), experts.end());
  return all;
}

}  // namespace

void split_blocks(int64_t blocks, const std::function<void(int64_t, int64_t)>& body) {
  // at::parallel_for runs on one thread in code that is not compiled for OpenMP.
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), blocks);
  std::vector<std::jthread> helpers;
  for (int64_t i = 1; i < threads; ++i)
    helpers.emplace_back(body, blocks * i / threads, blocks * (i + 1) / threads);
  if (threads > 0) body(0, blocks / threads);
}

Operands::Operands(const std::vector<at::Tensor>& tensors) {
  ASSAY_CHECK(!tensors.empty());
  const at::Device device = tensors.front().device();
  if (!device.is_cpu() && !(kCudaKernels && device.is_cuda()))
    user_error("this build has no merging kernels for the device '{}'", device.str());
  for (const at::Tensor& tensor : tensors) {
    ASSAY_CHECK(tensor.sizes() == tensors.front().sizes() && tensor.device() == device);
    held_.push_back(tensor.contiguous());
    operands_.push_back({held_.back().const_data_ptr(), storage_of(tensor.scalar_type())});
  }
}

Operands::Operands(const at::Tensor& base, const std::vector<at::Tensor>& experts)
    : Operands(with_base(base, experts)) {}

at::Tensor Operands::like() const {
  return at::empty(held_.front().sizes(), held_.front().options().dtype(at::kFloat));
}

BlockValues::BlockValues(const Operands& operands, int64_t begin, int64_t end) {
  for (int i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    if (operand.storage == Storage::kFloat32) {
      values_.push_back(static_cast<const float*>(operand.data) + begin);
      continue;
    }
    std::vector<float>& room = rooms_.emplace_back(static_cast<size_t>(end - begin));
    for (int64_t j = begin; j < end; ++j) room[static_cast<size_t>(j - begin)] = load(operand, j);
    values_.push_back(room.data());
  }
}

void count_flops(int64_t per_element, int64_t count) { counters::flops += per_element * count; }

}  // namespace assay
