#include "harness/task/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "harness/core/error.h"

namespace assay {
namespace {

class Inflater {
 public:
  explicit Inflater(const std::string& where) {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK)
      data_error("{}: cannot start decompression", where);
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

bool is_gzip(std::string_view content) { return content.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view compressed, const std::string& where) {
  constexpr size_t kMaxChunk = size_t{1} << 30;  // zlib counts in 32 bits
  Inflater inflater(where);
  z_stream& stream = inflater.stream();
  std::vector<char> chunk(1 << 18);
  std::string out;
  int state = Z_OK;
  do {
    if (stream.avail_in == 0) {
      const size_t count = std::min(compressed.size(), kMaxChunk);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
      stream.avail_in = static_cast<uInt>(count);
      compressed.remove_prefix(count);
    }
    if (state == Z_STREAM_END) inflateReset(&stream);  // the next member
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    state = inflate(&stream, Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - stream.avail_out);
    if (state == Z_MEM_ERROR) data_error("{}: not enough memory to decompress it", where);
    if (state == Z_BUF_ERROR) data_error("{}: the gzip data ends too early", where);
    if (state != Z_OK && state != Z_STREAM_END) data_error("{}: damaged gzip data", where);
  } while (state != Z_STREAM_END || stream.avail_in > 0 || !compressed.empty());
  return out;
}

}  // namespace assay
