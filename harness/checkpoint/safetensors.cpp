#include "harness/checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/core/cost.h"
#include "harness/core/error.h"

namespace assay {

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(path));
  for (SafetensorsEntry& entry : parse_safetensors_header(file->file_.bytes(), path.string())) {
    file->infos_.push_back(std::move(entry.info));
    file->offsets_.push_back(entry.offset);
  }
  return file;
}

at::Tensor SafetensorsFile::read(size_t index) const {
  const TensorInfo& info = infos_.at(index);
  return read_part(index, 0, info.numel()).view(info.shape);
}

at::Tensor SafetensorsFile::read_part(size_t index, int64_t first, int64_t count) const {
  const TensorInfo& info = infos_.at(index);
  const auto element_bytes = static_cast<int64_t>(c10::elementSize(info.dtype));
  const char* begin = data() + offsets_[index] + first * element_bytes;
  counters::bytes_read += count * element_bytes;
  const auto options = at::TensorOptions().dtype(info.dtype);
  if (count == 0) return at::empty({0}, options);
  // Old writers do not align the data; LibTorch's operators need alignment.
  if (reinterpret_cast<uintptr_t>(begin) % static_cast<uintptr_t>(element_bytes) != 0) {
    at::Tensor copy = at::empty({count}, options);
    std::memcpy(copy.data_ptr(), begin, copy.nbytes());
    return copy;
  }
  // The deleter's copy of the pointer keeps the mapping alive.
  return at::from_blob(
      const_cast<char*>(begin), {count}, [self = shared_from_this()](void*) {}, options);
}

void SafetensorsFile::prefetch(size_t index, int64_t first, int64_t count) const {
  const auto [data, bytes] = pages(index, first, count);
  if (bytes == 0) return;
  // MADV_WILLNEED visits every page, even resident ones. The first page is a sample for all:
  // missing pages are still faulted in when touched.
  unsigned char resident = 0;
  if (::mincore(data, 1, &resident) == 0 && (resident & 1) != 0) return;
  ::madvise(data, bytes, MADV_WILLNEED);
}

void SafetensorsFile::release(size_t index, int64_t first, int64_t count) const {
  const auto [data, bytes] = pages(index, first, count);
  if (bytes > 0) ::madvise(data, bytes, MADV_DONTNEED);
}

// Pages shared with a neighbouring tensor are read again when needed.
std::pair<char*, size_t> SafetensorsFile::pages(size_t index, int64_t first, int64_t count) const {
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t element_bytes = c10::elementSize(infos_.at(index).dtype);
  const size_t begin = offsets_[index] + static_cast<size_t>(first) * element_bytes;
  const size_t end = begin + static_cast<size_t>(count) * element_bytes;
  const size_t from = begin / page * page;
  return {const_cast<char*>(data()) + from, end - from};
}

std::string safetensors_bytes(const StateDict& tensors) {
  std::string bytes = safetensors_header(tensor_infos(tensors));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor data = tensor.cpu().contiguous();
    bytes.append(static_cast<const char*>(data.data_ptr()), data.nbytes());
  }
  return bytes;
}

}  // namespace assay
