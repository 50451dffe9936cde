#include "harness/checkpoint/gguf_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "harness/checkpoint/internal/gguf_blocks.h"
#include "harness/checkpoint/internal/mapped_values.h"
#include "harness/core/cost.h"

namespace assay {
namespace {

constexpr int64_t kMaxBlock = 256;  // values

at::ScalarType dtype_of(GgufType type) {
  if (type == GgufType::kF16) return at::kHalf;
  return type == GgufType::kBF16 ? at::kBFloat16 : at::kFloat;
}

bool is_quantised(GgufType type) { return block_of(type).values > 1; }

int64_t row_values(const GgufView& view) {
  int64_t values = 1;
  for (size_t i = 1; i < view.shape.size(); ++i) values *= view.shape[i];
  return values;
}

/// Where the file has row `row`: of every head, row i of the first half is followed by row i of the
/// second half.
int64_t stored_row(const GgufView& view, int64_t row) {
  const int64_t head = view.shape.front() / view.heads, half = head / 2;
  const int64_t within = row % head;
  return row - within + within % half * 2 + within / half;
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const GgufFile>(new GgufFile(path));
}

GgufFile::GgufFile(const std::filesystem::path& path)
    : file_(path), header_(parse_gguf(file_.bytes(), path.string())) {
  views_ = gguf_views(header_, path.string());
  config_ = gguf_config(header_, file_.bytes(), path.string());
  for (const GgufView& view : views_)
    infos_.push_back({view.name, dtype_of(view.source->type), view.shape});
}

at::Tensor GgufFile::read_part(size_t index, int64_t first, int64_t count) const {
  const GgufView& view = views_.at(index);
  const GgufTensor& source = *view.source;
  const auto options = at::TensorOptions().dtype(infos_[index].dtype);
  counters::bytes_read += static_cast<int64_t>(bytes(index, first, count).size());
  if (view.change == GgufChange::kTransposed) {
    at::Tensor stored = at::empty(source.shape, options);
    read_stored(source, 0, source.numel(), stored.data_ptr());
    return stored.t().reshape({-1}).narrow(0, first, count).contiguous();
  }
  first += view.first_row * row_values(view);
  if (view.heads == 0 && view.change != GgufChange::kPlusOne && !is_quantised(source.type))
    return mapped_values(data(source) + first * block_of(source.type).bytes, count,
                         infos_[index].dtype, shared_from_this());
  at::Tensor values = at::empty({count}, options);
  if (view.heads > 0)
    read_rotated(view, first, count, static_cast<char*>(values.data_ptr()));
  else
    read_stored(source, first, count, values.data_ptr());
  if (view.change == GgufChange::kPlusOne) values.sub_(1);
  return values;
}

void GgufFile::read_stored(const GgufTensor& tensor, int64_t first, int64_t count,
                           void* out) const {
  const GgufBlock block = block_of(tensor.type);
  const char* begin = data(tensor) + first / block.values * block.bytes;
  if (!is_quantised(tensor.type)) {
    std::memcpy(out, begin, static_cast<size_t>(count * block.bytes));
    return;
  }
  auto* values = static_cast<float*>(out);
  std::array<float, kMaxBlock> whole{};
  for (int64_t skipped = first % block.values; count > 0; skipped = 0, begin += block.bytes) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(begin);
    const int64_t some = std::min(count, block.values - skipped);
    if (some == block.values) {
      read_block(tensor.type, bytes, values);
    } else {
      read_block(tensor.type, bytes, whole.data());
      std::copy_n(whole.data() + skipped, some, values);
    }
    values += some;
    count -= some;
  }
}

void GgufFile::read_rotated(const GgufView& view, int64_t first, int64_t count, char* out) const {
  const int64_t row = row_values(view);
  const auto value_bytes = static_cast<int64_t>(c10::elementSize(dtype_of(view.source->type)));
  while (count > 0) {
    const int64_t column = first % row, some = std::min(count, row - column);
    read_stored(*view.source, stored_row(view, first / row) * row + column, some, out);
    out += some * value_bytes;
    first += some;
    count -= some;
  }
}

std::string_view GgufFile::bytes(size_t index, int64_t first, int64_t count) const {
  const GgufView& view = views_.at(index);
  const GgufBlock block = block_of(view.source->type);
  int64_t begin = first + view.first_row * row_values(view), end = begin + count;
  if (view.change == GgufChange::kTransposed) {
    begin = 0;
    end = view.source->numel();
  } else if (view.heads > 0) {  // rows move within their head
    const int64_t head = view.source->numel() / view.heads;
    begin = begin / head * head;
    end = (end + head - 1) / head * head;
  }
  begin = begin / block.values * block.bytes;
  end = (end + block.values - 1) / block.values * block.bytes;
  return {data(*view.source) + begin, static_cast<size_t>(end - begin)};
}

void GgufFile::prefetch(size_t index, int64_t first, int64_t count) const {
  prefetch_pages(bytes(index, first, count));
}

void GgufFile::release(size_t index, int64_t first, int64_t count) const {
  release_pages(bytes(index, first, count));
}

}  // namespace assay
