#include "harness/checkpoint/internal/mapped_values.h"

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace assay {
namespace {

// Pages shared with a neighbouring tensor are read again when needed.
std::pair<char*, size_t> pages_of(std::string_view bytes) {
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const size_t before = reinterpret_cast<uintptr_t>(bytes.data()) % page;
  return {const_cast<char*>(bytes.data()) - before, bytes.size() + before};
}

}  // namespace

at::Tensor mapped_values(const char* begin, int64_t count, at::ScalarType dtype,
                         std::shared_ptr<const void> owner) {
  const auto options = at::TensorOptions().dtype(dtype);
  if (count == 0) return at::empty({0}, options);
  // Old writers do not align the data; LibTorch's operators need alignment.
  if (reinterpret_cast<uintptr_t>(begin) % c10::elementSize(dtype) != 0) {
    at::Tensor copy = at::empty({count}, options);
    std::memcpy(copy.data_ptr(), begin, copy.nbytes());
    return copy;
  }
  // The deleter's copy of the pointer keeps the mapping alive.
  return at::from_blob(
      const_cast<char*>(begin), {count}, [owner = std::move(owner)](void*) {}, options);
}

void prefetch_pages(std::string_view bytes) {
  const auto [data, size] = pages_of(bytes);
  if (bytes.empty()) return;
  // MADV_WILLNEED visits every page, even resident ones. The first page is a sample for all:
  // missing pages are still faulted in when touched.
  unsigned char resident = 0;
  if (::mincore(data, 1, &resident) == 0 && (resident & 1) != 0) return;
  ::madvise(data, size, MADV_WILLNEED);
}

void release_pages(std::string_view bytes) {
  const auto [data, size] = pages_of(bytes);
  if (!bytes.empty()) ::madvise(data, size, MADV_DONTNEED);
}

}  // namespace assay
