/// Tensors that share the memory of a mapped file.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string_view>

namespace assay {

/// The `count` values of `dtype` at `begin`; `owner` lives as long as the result shares its memory.
/// A copy where they are not aligned for their dtype.
at::Tensor mapped_values(const char* begin, int64_t count, at::ScalarType dtype,
                         std::shared_ptr<const void> owner);

/// madvise on the pages that contain these bytes of a mapping: MADV_WILLNEED, unless the first page
/// is resident, and MADV_DONTNEED.
void prefetch_pages(std::string_view bytes);
void release_pages(std::string_view bytes);

}  // namespace assay
