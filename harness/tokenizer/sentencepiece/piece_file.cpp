#include "harness/tokenizer/sentencepiece/piece_file.h"

#include <cstring>
#include <functional>
#include <string_view>

#include "harness/core/error.h"

namespace assay {
namespace {

/// Reads the wire format of Protocol Buffers, one message.
class Message {
 public:
  Message(std::string_view bytes, const fs::path& file) : bytes_(bytes), file_(&file) {}

  struct Field {
    uint64_t number = 0;
    uint64_t value = 0;      ///< of a number; the bits of a float
    std::string_view bytes;  ///< of a text or message
  };

  void each(const std::function<void(const Field&)>& found) {
    while (position_ < bytes_.size()) found(next());
  }
  const fs::path& file() const { return *file_; }

 private:
  Field next() {
    const uint64_t key = varint();
    Field field{.number = key >> 3, .bytes = {}};
    switch (key & 7) {
      case 0:
        field.value = varint();
        return field;
      case 1:
        field.value = fixed(8);
        return field;
      case 2:
        field.bytes = take(varint());
        return field;
      case 5:
        field.value = fixed(4);
        return field;
      default:
        broken();
    }
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    broken();
  }

  uint64_t fixed(size_t size) {
    uint64_t value = 0;  // little-endian, as the machine
    std::memcpy(&value, take(size).data(), size);
    return value;
  }

  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - position_) broken();
    const std::string_view out = bytes_.substr(position_, size);
    position_ += size;
    return out;
  }

  [[noreturn]] void broken() const {
    data_error("{}: not a SentencePiece model: its message is truncated or damaged at byte {}",
               file_->string(), position_);
  }

  std::string_view bytes_;
  const fs::path* file_;
  size_t position_ = 0;
};

PieceFile::Piece read_piece(Message message) {
  PieceFile::Piece piece;
  message.each([&](const Message::Field& field) {
    if (field.number == 1) {
      piece.text = field.bytes;
    } else if (field.number == 2) {
      const auto bits = static_cast<uint32_t>(field.value);
      std::memcpy(&piece.score, &bits, sizeof bits);
    } else if (field.number == 3) {
      if (field.value < 1 || field.value > 6)
        data_error("{}: a piece is of the unknown type {}", message.file().string(), field.value);
      piece.kind = static_cast<PieceFile::Kind>(field.value);
    }
  });
  return piece;
}

void read_trainer(Message message, PieceFile& out) {
  message.each([&](const Message::Field& field) {
    switch (field.number) {
      case 3:
        if (field.value != 1 && field.value != 2)
          data_error("{}: a model of type {}; expected 1 (unigram) or 2 (BPE)",
                     message.file().string(), field.value);
        out.model = static_cast<PieceFile::Model>(field.value);
        break;
      case 24:
        if (field.value)
          data_error(
              "{}: white space at the ends of words "
              "(treat_whitespace_as_suffix) is not supported",
              message.file().string());
        break;
      case 35:
        out.byte_fallback = field.value != 0;
        break;
      case 44:
        out.unknown_surface = field.bytes;
        break;
      case 46:
        out.bos = field.bytes;
        break;
      case 47:
        out.eos = field.bytes;
        break;
      case 48:
        out.pad = field.bytes;
        break;
      default:
        break;  // how the model was trained
    }
  });
}

void read_normalizer(Message message, PieceFile& out) {
  message.each([&](const Message::Field& field) {
    switch (field.number) {
      case 2:
        out.charsmap = field.bytes;
        break;
      case 3:
        out.add_dummy_prefix = field.value != 0;
        break;
      case 4:
        out.remove_extra_whitespaces = field.value != 0;
        break;
      case 5:
        out.escape_whitespaces = field.value != 0;
        break;
      default:
        break;  // its name
    }
  });
}

}  // namespace

PieceFile PieceFile::read(const std::string& bytes, const fs::path& file) {
  PieceFile out;
  Message(bytes, file).each([&](const Message::Field& field) {
    if (field.number == 1) out.pieces.push_back(read_piece(Message(field.bytes, file)));
    if (field.number == 2) read_trainer(Message(field.bytes, file), out);
    if (field.number == 3) read_normalizer(Message(field.bytes, file), out);
  });
  if (out.pieces.empty()) data_error("{}: a SentencePiece model without pieces", file.string());
  return out;
}

}  // namespace assay
