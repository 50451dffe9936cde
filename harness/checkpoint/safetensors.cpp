#include "harness/checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>
#include <utility>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/json.h"

namespace assay {
namespace {

constexpr size_t kLengthBytes = 8;
// The reference implementation refuses larger headers too.
constexpr uint64_t kMostHeaderBytes = 100'000'000;

constexpr std::pair<const char*, at::ScalarType> kDtypes[] = {
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
    {"C64", at::kComplexFloat},
};

const char* code_of(at::ScalarType dtype) {
  for (const auto& [code, type] : kDtypes)
    if (type == dtype) return code;
  data_error("safetensors cannot store the dtype {}", dtype_name(dtype));
}

// Reads one header entry. Everything is checked before it is used: files come from strangers.
struct Entry {
  TensorInfo info;
  uint64_t begin, end;
};

Entry parse_entry(const std::string& file, const std::string& name, const Json& json) {
  const auto fail = [&](const std::string& what) -> void {
    data_error("{}: tensor '{}': {}", file, name, what);
  };
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets"))
    fail("the entry must have dtype, shape and data_offsets");
  Entry entry{{name, at::kFloat, {}}, 0, 0};

  const Json& dtype = json["dtype"];
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const auto& pair) {
    return dtype.is_string() && dtype.get_ref<const std::string&>() == pair.first;
  });
  if (known == std::end(kDtypes)) fail(fmt::format("unknown dtype {}", dtype.dump()));
  entry.info.dtype = known->second;

  if (!json["shape"].is_array()) fail("shape must be a list");
  uint64_t bytes = c10::elementSize(entry.info.dtype);
  bool empty = false;
  for (const Json& size : json["shape"]) {
    if (!size.is_number_unsigned()) fail(fmt::format("shape {}", json["shape"].dump()));
    const auto value = size.get<uint64_t>();
    empty |= value == 0;
    if (value > INT64_MAX || (value != 0 && __builtin_mul_overflow(bytes, value, &bytes)))
      fail(fmt::format("shape {} is too large", json["shape"].dump()));
    entry.info.shape.push_back(static_cast<int64_t>(value));
  }
  if (empty) bytes = 0;

  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    fail("data_offsets must be two non-negative integers");
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    fail(fmt::format("data_offsets {} do not span the {} bytes of {} {}", offsets.dump(), bytes,
                     dtype_name(entry.info.dtype), shape_text(entry.info.shape)));
  return entry;
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    data_error("cannot read '{}': {}", path.string(),
               descriptor < 0 ? std::strerror(reason) : "not a regular file");
  }
  file->size_ = static_cast<size_t>(status.st_size);
  if (file->size_ >= kLengthBytes) {
    void* mapping = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping != MAP_FAILED) file->mapping_ = static_cast<const char*>(mapping);
  }
  const int reason = errno;
  ::close(descriptor);
  if (file->size_ < kLengthBytes)
    data_error("{}: truncated: {} bytes, a safetensors file has at least {}", path.string(),
               file->size_, kLengthBytes);
  if (!file->mapping_) data_error("cannot map '{}': {}", path.string(), std::strerror(reason));
  file->parse_header();
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (mapping_) ::munmap(const_cast<char*>(mapping_), size_);
}

void SafetensorsFile::parse_header() {
  const std::string file = path_.string();
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, mapping_, kLengthBytes);
  if (header_bytes > kMostHeaderBytes || header_bytes > size_ - kLengthBytes)
    data_error("{}: not a whole safetensors file: the header claims {} bytes, the file has {}",
               file, header_bytes, size_);
  const Json header = Json::parse(mapping_ + kLengthBytes, mapping_ + kLengthBytes + header_bytes,
                                  nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) data_error("{}: the header is no JSON object", file);

  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items())
    if (name != "__metadata__") entries.push_back(parse_entry(file, name, json));

  // The data must be covered without gaps or overlaps, to the last byte of the file.
  std::vector<size_t> by_offset(entries.size());
  std::iota(by_offset.begin(), by_offset.end(), size_t{0});
  std::sort(by_offset.begin(), by_offset.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].begin, entries[a].end) <
           std::pair(entries[b].begin, entries[b].end);
  });
  const uint64_t data_bytes = size_ - kLengthBytes - header_bytes;
  uint64_t expected = 0;
  for (const size_t i : by_offset) {
    if (entries[i].begin != expected)
      data_error("{}: tensor '{}' starts at byte {} of the data, expected {}", file,
                 entries[i].info.name, entries[i].begin, expected);
    expected = entries[i].end;
    if (expected > data_bytes)
      data_error("{}: truncated: tensor '{}' ends at byte {} of the data, which has {} bytes", file,
                 entries[i].info.name, expected, data_bytes);
  }
  if (expected != data_bytes)
    data_error("{}: {} bytes of data, but the header describes {}", file, data_bytes, expected);

  for (Entry& entry : entries) {  // JSON objects iterate in name order
    infos_.push_back(std::move(entry.info));
    offsets_.push_back(kLengthBytes + header_bytes + entry.begin);
  }
}

at::Tensor SafetensorsFile::read(size_t index) const {
  const TensorInfo& info = infos_.at(index);
  const char* data = mapping_ + offsets_[index];
  counters::bytes_read += info.bytes();
  const auto options = at::TensorOptions().dtype(info.dtype);
  if (info.numel() == 0) return at::empty(info.shape, options);
  // Old writers do not align the data; LibTorch's operators need it to be.
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(info.dtype) != 0) {
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.data_ptr(), data, static_cast<size_t>(info.bytes()));
    return copy;
  }
  // The deleter's copy of the pointer keeps the mapping alive.
  return at::from_blob(
      const_cast<char*>(data), info.shape, [self = shared_from_this()](void*) {}, options);
}

void write_safetensors(const std::filesystem::path& path, const StateDict& tensors) {
  Json header = Json::object();
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const uint64_t end = offset + tensor.nbytes();
    header[name] = {{"dtype", code_of(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const uint64_t header_bytes = text.size();

  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(&header_bytes), kLengthBytes);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor data = tensor.cpu().contiguous();
    out.write(static_cast<const char*>(data.data_ptr()),
              static_cast<std::streamsize>(data.nbytes()));
  }
  out.close();
  if (!out) data_error("cannot write '{}': {}", path.string(), std::strerror(errno));
  counters::bytes_written += static_cast<int64_t>(kLengthBytes + header_bytes + offset);
}

}  // namespace assay
