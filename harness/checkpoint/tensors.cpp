#include "harness/checkpoint/tensors.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

constexpr std::array<std::pair<const char*, at::ScalarType>, 13> kDtypes{{
    {"float64", at::kDouble},
    {"float32", at::kFloat},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"float8_e4m3fn", at::kFloat8_e4m3fn},
    {"float8_e5m2", at::kFloat8_e5m2},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"uint8", at::kByte},
    {"bool", at::kBool},
    {"complex64", at::kComplexFloat},
}};

}  // namespace

int64_t TensorInfo::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t TensorInfo::bytes() const {
  return numel() * static_cast<int64_t>(c10::elementSize(dtype));
}

std::vector<TensorInfo> tensor_infos(const StateDict& tensors) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  return infos;
}

const TensorInfo* TensorSource::find(const std::string& name) const {
  const auto& all = tensors();
  const auto it =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const TensorInfo& a, const std::string& b) { return a.name < b; });
  return it != all.end() && it->name == name ? &*it : nullptr;
}

at::Tensor elements(const at::Tensor& tensor, int64_t first, int64_t count) {
  ASSAY_CHECK(first >= 0 && count >= 0 && first + count <= tensor.numel());
  if (!tensor.is_cpu() || !tensor.is_contiguous())
    return tensor.detach().flatten().narrow(0, first, count);
  auto* data = static_cast<char*>(const_cast<void*>(tensor.const_data_ptr()));
  return at::from_blob(
      data + first * static_cast<int64_t>(tensor.itemsize()), {count}, [tensor](void*) {},
      tensor.options());
}

at::Tensor TensorSource::read_part(const std::string& name, int64_t first, int64_t count) const {
  return elements(read(name), first, count);
}

void TensorSource::prefetch(const std::string&, int64_t, int64_t) const {}

void TensorSource::release(const std::string&, int64_t, int64_t) const {}

MemorySource::MemorySource(std::string label, StateDict tensors, std::string content_hash)
    : label_(std::move(label)),
      tensors_(std::move(tensors)),
      infos_(tensor_infos(tensors_)),
      hash_(std::move(content_hash)) {}

at::Tensor MemorySource::read(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) data_error("{} has no tensor '{}'", label_, name);
  return it->second;
}

std::string MemorySource::content_hash() const {
  const std::lock_guard lock(hash_mutex_);
  if (hash_.empty()) hash_ = assay::content_hash(*this);
  return hash_;
}

std::string dtype_name(at::ScalarType dtype) {
  for (const auto& [name, type] : kDtypes)
    if (type == dtype) return name;
  return c10::toString(dtype);
}

at::ScalarType dtype_from_name(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const auto& [candidate, type] : kDtypes) {
    if (candidate == name) return type;
    known.emplace_back(candidate);
  }
  throw UserError(unknown_name("dtype", name, where, known));
}

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::string content_hash(const TensorSource& source) {
  std::map<std::string, std::string> byte_hashes;
  for (const TensorInfo& info : source.tensors()) {
    const at::Tensor tensor = source.read(info.name).cpu().contiguous();
    byte_hashes[info.name] = Hasher().bytes(tensor.data_ptr(), tensor.nbytes()).hex();
  }
  return content_hash(source.tensors(), byte_hashes);
}

std::string content_hash(const std::vector<TensorInfo>& infos,
                         const std::map<std::string, std::string>& byte_hashes) {
  Hasher hasher;
  for (const TensorInfo& info : infos) {
    hasher.text(info.name).text(dtype_name(info.dtype)).number(info.shape.size());
    for (const int64_t size : info.shape) hasher.number(static_cast<uint64_t>(size));
    hasher.text(byte_hashes.at(info.name));
  }
  return hasher.hex();
}

}  // namespace assay
