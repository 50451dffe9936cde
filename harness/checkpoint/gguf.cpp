#include "harness/checkpoint/gguf.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "harness/core/ascii.h"
#include "harness/core/error.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr int64_t kSuperBlock = 256;  // values that K-quants scale together
constexpr int64_t kMaxElements = int64_t{1} << 48;

struct TypeRow {
  GgufType type;
  const char* name;
  GgufBlock block;
};
constexpr TypeRow kTypes[] = {
    {GgufType::kF32, "F32", {1, 4}},
    {GgufType::kF16, "F16", {1, 2}},
    {GgufType::kBF16, "BF16", {1, 2}},
    {GgufType::kQ4_0, "Q4_0", {32, 2 + 16}},
    {GgufType::kQ4_1, "Q4_1", {32, 2 + 2 + 16}},
    {GgufType::kQ5_0, "Q5_0", {32, 2 + 4 + 16}},
    {GgufType::kQ5_1, "Q5_1", {32, 2 + 2 + 4 + 16}},
    {GgufType::kQ8_0, "Q8_0", {32, 2 + 32}},
    {GgufType::kQ2_K, "Q2_K", {kSuperBlock, 16 + 64 + 2 + 2}},
    {GgufType::kQ3_K, "Q3_K", {kSuperBlock, 32 + 64 + 12 + 2}},
    {GgufType::kQ4_K, "Q4_K", {kSuperBlock, 2 + 2 + 12 + 128}},
    {GgufType::kQ5_K, "Q5_K", {kSuperBlock, 2 + 2 + 12 + 32 + 128}},
    {GgufType::kQ6_K, "Q6_K", {kSuperBlock, 128 + 64 + 16 + 2}},
};

std::string known_types() {
  std::string names;
  for (const TypeRow& row : kTypes) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

const TypeRow* find_type(uint32_t number) {
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeRow& known) {
    return static_cast<uint32_t>(known.type) == number;
  });
  return row == std::end(kTypes) ? nullptr : row;
}

// Types of metadata.
enum class Kind : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kText,
  kList,
  kU64,
  kI64,
  kF64
};

/// The float32's shortest decimal form as a double: 1e-05, not 9.99999974737875e-06.
double widened(float value) {
  if (!std::isfinite(value)) return value;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double wide = 0;
  std::from_chars(text, end, wide);
  return wide;
}

class Parser {
 public:
  Parser(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  GgufHeader run() {
    if (take(kMagic.size(), "the format's mark") != kMagic)
      fail("it does not begin with 'GGUF'{}", wrong_format_hint(bytes_));
    const auto version = number<uint32_t>("version");
    if (version != 2 && version != 3)
      fail("version {} is not read; 2 and 3 are, little-endian", version);
    const auto tensors = number<uint64_t>("number of tensors");
    const auto entries = number<uint64_t>("number of metadata entries");
    GgufHeader header;
    header.metadata = Json::object();
    for (uint64_t i = 0; i < entries; ++i) {
      const std::string key = text(fmt::format("the key of metadata entry {}", i));
      const auto kind = number<uint32_t>(key);
      if (header.metadata.contains(key)) fail("the metadata key '{}' occurs twice", key);
      header.metadata[key] = value(key, kind);
    }
    std::set<std::string> names;
    for (uint64_t i = 0; i < tensors; ++i) {
      header.tensors.push_back(tensor(i));
      if (!names.insert(header.tensors.back().name).second)
        fail("two tensors are called '{}'", header.tensors.back().name);
    }
    place(header);
    return header;
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    data_error("{}: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view take(uint64_t size, std::string_view what) {
    if (size > bytes_.size() - position_)
      fail("the file ends within {}: {} bytes at byte {} of {}", what, size, position_,
           bytes_.size());
    const std::string_view part = bytes_.substr(position_, size);
    position_ += size;
    return part;
  }

  template <typename T>
  T number(std::string_view what) {
    T out;
    std::memcpy(&out, take(sizeof out, what).data(), sizeof out);
    return out;
  }

  std::string text(std::string_view what) {
    const auto size = number<uint64_t>(what);
    std::string out(take(size, what));
    if (const std::string problem = encoding_problem(out); !problem.empty())
      fail("{}: {}", what, problem);
    return out;
  }

  Json value(const std::string& key, uint32_t kind) {
    switch (Kind{kind}) {
      case Kind::kU8:
        return number<uint8_t>(key);
      case Kind::kI8:
        return number<int8_t>(key);
      case Kind::kU16:
        return number<uint16_t>(key);
      case Kind::kI16:
        return number<int16_t>(key);
      case Kind::kU32:
        return number<uint32_t>(key);
      case Kind::kI32:
        return number<int32_t>(key);
      case Kind::kF32:
        return widened(number<float>(key));
      case Kind::kBool:
        return number<uint8_t>(key) != 0;
      case Kind::kText:
        return text(key);
      case Kind::kU64:
        return number<uint64_t>(key);
      case Kind::kI64:
        return number<int64_t>(key);
      case Kind::kF64:
        return number<double>(key);
      case Kind::kList:
        return list(key);
    }
    fail("metadata '{}' has the unknown type {}", key, kind);
  }

  Json list(const std::string& key) {
    const auto kind = number<uint32_t>(key);
    const auto count = number<uint64_t>(key);
    if (Kind{kind} == Kind::kList) fail("metadata '{}' is a list of lists, which is not read", key);
    if (count > bytes_.size() - position_)
      fail("metadata '{}' has {} entries, more than the file has bytes", key, count);
    Json out = Json::array();
    for (uint64_t i = 0; i < count; ++i) out.push_back(value(key, kind));
    return out;
  }

  GgufTensor tensor(uint64_t index) {
    GgufTensor tensor;
    tensor.name = text(fmt::format("the name of tensor {}", index));
    const auto dimensions = number<uint32_t>(tensor.name);
    if (dimensions < 1 || dimensions > 4)
      fail("tensor '{}' has {} dimensions; 1 to 4 are allowed", tensor.name, dimensions);
    int64_t elements = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto size = number<uint64_t>(tensor.name);
      if (size < 1 || size > uint64_t{kMaxElements} / static_cast<uint64_t>(elements))
        fail("dimension {} of tensor '{}' is {}", i, tensor.name, size);
      tensor.shape.push_back(static_cast<int64_t>(size));
      elements *= tensor.shape.back();
    }
    const auto type = number<uint32_t>(tensor.name);
    const TypeRow* row = find_type(type);
    if (!row)
      fail("tensor '{}' is stored as type {}, which is not read; these are: {}", tensor.name, type,
           known_types());
    tensor.type = row->type;
    if (tensor.shape.front() % row->block.values != 0)
      fail("rows of tensor '{}' have {} values, which are no whole blocks of {} ({})", tensor.name,
           tensor.shape.front(), row->block.values, row->name);
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.offset = number<uint64_t>(tensor.name);
    return tensor;
  }

  /// Makes the offsets those of the file, and checks them.
  void place(GgufHeader& header) {
    uint64_t alignment = 32;
    if (const auto found = header.metadata.find("general.alignment");
        found != header.metadata.end()) {
      if (!found->is_number_unsigned() || *found < 1 || *found > (1 << 20))
        fail("general.alignment is {}", found->dump());
      alignment = found->get<uint64_t>();
    }
    const uint64_t begin = (position_ + alignment - 1) / alignment * alignment;
    std::map<uint64_t, const GgufTensor*> by_offset;
    for (GgufTensor& tensor : header.tensors) {
      const auto size = static_cast<uint64_t>(tensor.bytes());
      if (begin > bytes_.size() || tensor.offset > bytes_.size() - begin ||
          size > bytes_.size() - begin - tensor.offset)
        fail("tensor '{}' needs {} bytes at byte {} of the data, but the file has {} in all",
             tensor.name, size, tensor.offset, bytes_.size());
      if (tensor.offset % alignment != 0)
        fail("tensor '{}' begins at byte {} of the data, no multiple of {}", tensor.name,
             tensor.offset, alignment);
      tensor.offset += begin;
      const auto [at, inserted] = by_offset.emplace(tensor.offset, &tensor);
      if (!inserted) fail("tensors '{}' and '{}' overlap", at->second->name, tensor.name);
    }
    const GgufTensor* before = nullptr;
    for (const auto& [offset, tensor] : by_offset) {
      if (before && before->offset + static_cast<uint64_t>(before->bytes()) > offset)
        fail("tensors '{}' and '{}' overlap", before->name, tensor->name);
      before = tensor;
    }
  }

  std::string_view bytes_;
  const std::string& file_;
  uint64_t position_ = 0;
};

}  // namespace

GgufBlock block_of(GgufType type) { return find_type(static_cast<uint32_t>(type))->block; }

int64_t GgufTensor::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t GgufTensor::bytes() const {
  const GgufBlock block = block_of(type);
  return numel() / block.values * block.bytes;
}

const GgufTensor* GgufHeader::find(const std::string& name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

GgufHeader parse_gguf(std::string_view bytes, const std::string& file) {
  return Parser(bytes, file).run();
}

bool is_gguf_path(const std::filesystem::path& path) {
  return ascii_lower(path.extension().string()) == ".gguf";
}

}  // namespace assay
