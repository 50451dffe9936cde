#include "harness/kernels/blocks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/internal/launch.h"

namespace assay {
DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kDouble:
      return DType::kFloat64;
    case at::kHalf:
      return DType::kFloat16;
    case at::kBFloat16:
      return DType::kBFloat16;
    case at::kFloat8_e4m3fn:
      return DType::kFloat8E4M3;
    case at::kFloat8_e5m2:
      return DType::kFloat8E5M2;
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

bool BlockQueue::next(Block& block) {
  const auto index = indices_.next();
  if (!index) return false;
  block = {*index, *index * kBlock, std::min(count_, (*index + 1) * kBlock)};
  return true;
}

void share_blocks(int64_t count, const std::function<void(BlockQueue&)>& body) {
  ThreadPool::shared().run(at::get_num_threads(), num_blocks(count), [&](IndexQueue& indices) {
    BlockQueue queue(count, indices);
    body(queue);
    end_non_temporal();
  });
}

at::Tensor float32_like(const std::vector<at::Tensor>& tensors) {
  ASSAY_CHECK(!tensors.empty());
  return at::empty(tensors.front().sizes(), tensors.front().options().dtype(at::kFloat));
}

Operands::Operands(const std::vector<at::Tensor>& tensors) {
  ASSAY_CHECK(!tensors.empty());
  const at::Device device = tensors.front().device();
  if (!device.is_cpu() && !(kCudaKernels && device.is_cuda()))
    user_error("this build has no merging kernels for the device '{}'", device.str());
  for (const at::Tensor& tensor : tensors) {
    ASSAY_CHECK(tensor.sizes() == tensors.front().sizes() && tensor.device() == device);
    held_.push_back(tensor.contiguous());
    operands_.push_back({held_.back().const_data_ptr(), dtype_of(tensor.scalar_type())});
  }
}

Operands::Operands(const at::Tensor& base, const std::vector<at::Tensor>& experts)
    : Operands(with_base(base, experts)) {}

DType Operands::check_result(const at::Tensor& out) const {
  ASSAY_CHECK(out.is_contiguous() && out.sizes() == held_.front().sizes() &&
              out.device() == held_.front().device());
  return dtype_of(out.scalar_type());
}

RunValues::RunValues(const Operands& operands, int count)
    : operands_(operands), rows_(static_cast<size_t>(count)) {
  int64_t converted = 0;
  for (int i = 0; i < count; ++i) converted += operands[i].storage == DType::kFloat32 ? 0 : 1;
  buffer_.resize(static_cast<size_t>(converted * kRun));
}

void RunValues::load(int64_t begin, int64_t size) {
  float* buffer = buffer_.data();
  const int64_t next = begin + size, next_size = std::min(kRun, operands_.count() - next);
  for (int i = 0; i < std::ssize(rows_); ++i) {
    prefetch_run(operands_[i], next, next_size);
    const float*& row = rows_[static_cast<size_t>(i)];
    if (operands_[i].storage == DType::kFloat32) {
      row = static_cast<const float*>(operands_[i].data) + begin;
      continue;
    }
    load_run(operands_[i], begin, size, buffer);
    row = buffer;
    buffer += kRun;
  }
}

void count_flops(int64_t per_element, int64_t count) { counters::flops += per_element * count; }

}  // namespace assay
