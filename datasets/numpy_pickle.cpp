// A numpy array pickled with protocol 4 is always the same few opcodes around one block of bytes.
// They are converted to text and compared with the text of the expected plain array; there is no
// stack, and nothing is imported or called.
#include <fmt/ranges.h>

#include <cstring>

#include "datasets/decode.h"
#include "harness/core/error.h"

namespace assay {
namespace {

class PickleText {
 public:
  PickleText(const std::string& pickle, const std::string& where) : in_(pickle), where_(where) {}

  /// One word per opcode. The array's data is written as "data" and stored in `payload`.
  std::string read(std::string& payload) {
    std::string text;
    for (;;) {
      const size_t start = at_;
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      switch (opcode) {
        case 0x80:
          text += fmt::format("protocol{} ", number(1));
          break;
        case 0x95:
          take(8);
          break;  // frame: only its length, for reading ahead
        case 0x94:
          break;  // memoize
        case 0x93:
          text += "global ";
          break;
        case 0x8c:
          text += fmt::format("'{}' ", take(number(1)));
          break;
        case 'C':
          text += fmt::format("bytes'{}' ", take(number(1)));
          break;
        case 'B':
          payload = take(number(4));
          text += "data ";
          break;
        case 'K':
          text += fmt::format("{} ", number(1));
          break;
        case 'M':
          text += fmt::format("{} ", number(2));
          break;
        case 'J':
          text += fmt::format("{} ", static_cast<int32_t>(number(4)));
          break;
        case 'h':
          text += fmt::format("memo{} ", number(1));
          break;
        case 'N':
          text += "none ";
          break;
        case 0x88:
          text += "true ";
          break;
        case 0x89:
          text += "false ";
          break;
        case 0x85:
          text += "tuple1 ";
          break;
        case 0x86:
          text += "tuple2 ";
          break;
        case 0x87:
          text += "tuple3 ";
          break;
        case '(':
          text += "mark ";
          break;
        case 't':
          text += "tuple ";
          break;
        case 'R':
          text += "reduce ";
          break;
        case 'b':
          text += "build ";
          break;
        case '.':
          if (at_ != in_.size()) data_error("{}: more data after the array's end", where_);
          return text + "stop";
        default:
          data_error("{}: opcode {:#04x} at byte {} is not part of a plain numpy array", where_,
                     opcode, start);
      }
    }
  }

 private:
  std::string take(size_t size) {
    if (size > in_.size() - at_)
      data_error("{}: truncated: byte {} of {} is followed by fewer than {} bytes", where_, at_,
                 in_.size(), size);
    at_ += size;
    return in_.substr(at_ - size, size);
  }

  uint32_t number(size_t size) {
    const std::string bytes = take(size);
    uint32_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  const std::string& in_;
  const std::string& where_;
  size_t at_ = 0;
};

std::string plain_array_text(const std::string& dtype, const std::vector<int64_t>& shape) {
  const std::string dimensions = fmt::format("{}", fmt::join(shape, " "));
  return fmt::format(
      "protocol4 'numpy.core.multiarray' '_reconstruct' global 'numpy' 'ndarray' global "
      "0 tuple1 bytes'b' tuple3 reduce mark 1 {} tuple{} memo3 'dtype' global '{}' false true "
      "tuple3 "
      "reduce mark 3 '{}' none none none -1 -1 0 tuple build false data tuple build stop",
      dimensions, shape.size(), dtype.substr(1), dtype.substr(0, 1));
}

}  // namespace

std::string numpy_pickle_bytes(const std::string& pickle, const std::string& dtype,
                               const std::vector<int64_t>& shape, const std::string& where) {
  ASSAY_CHECK(dtype.size() == 3 && !shape.empty() && shape.size() <= 3, "dtype '{}'", dtype);
  std::string payload;
  const std::string found = PickleText(pickle, where).read(payload);
  const std::string expected = plain_array_text(dtype, shape);
  if (found != expected)
    data_error("{}: not a plain numpy array of type {} and shape ({}): found {}", where, dtype,
               fmt::join(shape, ", "), found.substr(0, 500));
  size_t size = static_cast<size_t>(dtype[2] - '0');
  for (const int64_t dimension : shape) size *= static_cast<size_t>(dimension);
  if (payload.size() != size)
    data_error("{}: the array has {} bytes, expected {}", where, payload.size(), size);
  return payload;
}

}  // namespace assay
