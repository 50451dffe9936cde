#include "harness/checkpoint/internal/safetensors_header.h"

#include "harness/checkpoint/internal/safetensors_metadata.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kFormatHintBytes = 1024;  // enough to recognise other formats
// The reference implementation rejects larger headers too.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

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

// A damaged model file is a DataError, not a UserError.
Json parse_data(std::string_view text, const std::string& file) {
  try {
    return parse_json(text, file);
  } catch (const UserError& e) {
    throw DataError(e.what());
  }
}

// Reads one header entry. Everything is checked before it is used: files are untrusted.
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
    // Also for empty tensors: sizes are multiplied in any order, as signed numbers.
    if (value != 0 && (__builtin_mul_overflow(bytes, value, &bytes) || bytes > INT64_MAX))
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

/// The JSON of a header, and how many bytes it takes.
struct Header {
  Json json;
  uint64_t bytes;
};

Header parse_header(std::string_view bytes, const std::string& file) {
  const auto refuse_foreign = [&] {
    const std::string hint = wrong_format_hint(bytes.substr(0, kFormatHintBytes));
    if (!hint.empty()) data_error("{}: not a safetensors file: {}", file, hint);
  };
  if (bytes.size() < kLengthBytes) {
    refuse_foreign();
    data_error("{}: truncated: {} bytes, a safetensors file has at least {}", file, bytes.size(),
               kLengthBytes);
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kLengthBytes) {
    refuse_foreign();
    data_error("{}: an incomplete safetensors file: the header claims {} bytes, the file has {}",
               file, header_bytes, bytes.size());
  }
  Json header = parse_data(bytes.substr(kLengthBytes, header_bytes), file);
  if (!header.is_object()) data_error("{}: the header is not a JSON object", file);
  return {std::move(header), header_bytes};
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view bytes,
                                                       const std::string& file) {
  const auto [header, header_bytes] = parse_header(bytes, file);

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
  const uint64_t data_bytes = bytes.size() - kLengthBytes - header_bytes;
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

  std::vector<SafetensorsEntry> result;
  for (Entry& entry : entries)  // JSON objects iterate in name order
    result.push_back({std::move(entry.info), kLengthBytes + header_bytes + entry.begin});
  return result;
}

std::map<std::string, std::string> parse_safetensors_metadata(std::string_view bytes,
                                                              const std::string& file) {
  std::map<std::string, std::string> metadata;
  const Json header = parse_header(bytes, file).json;
  const auto found = header.find("__metadata__");
  if (found == header.end()) return metadata;
  if (!found->is_object()) data_error("{}: __metadata__ is not an object", file);
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) data_error("{}: __metadata__['{}'] is not a text", file, key);
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

std::string safetensors_header(const std::vector<TensorInfo>& tensors) {
  return safetensors_header(tensors, {});
}

std::string safetensors_header(const std::vector<TensorInfo>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  header["__metadata__"] = metadata;
  header["__metadata__"]["format"] = "pt";
  int64_t offset = 0;
  for (const TensorInfo& info : tensors) {
    const int64_t end = offset + info.bytes();
    header[info.name] = {
        {"dtype", code_of(info.dtype)}, {"shape", info.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const uint64_t header_bytes = text.size();
  std::string prefix(kLengthBytes, '\0');
  std::memcpy(prefix.data(), &header_bytes, kLengthBytes);
  return prefix + text;
}

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& file) {
  const Json index = parse_data(text, file);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    data_error("{}: no object 'weight_map'", file);
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    // A shard must be in the same folder: a path could name any file of the machine.
    if (!shard.is_string() ||
        std::filesystem::path(shard.get<std::string>()).filename() != shard.get<std::string>())
      data_error("{}: weight_map['{}'] must be a file name, found {}", file, name, shard.dump());
    shard_of[name] = shard.get<std::string>();
  }
  return shard_of;
}

}  // namespace assay
