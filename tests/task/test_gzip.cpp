#include "harness/task/gzip.h"

#include <zlib.h>

#include "harness/core/error.h"
#include "harness/task/text_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

TEST_CASE("gunzip decompresses complete streams and refuses all others", "[data]") {
  const std::string packed = gzip("some text, some text");

  CHECK(gunzip(packed, "a.gz") == "some text, some text");
  CHECK(gunzip(packed + gzip(", more"), "a.gz") == "some text, some text, more");
  const std::string large(3 << 20, 'x');
  CHECK(gunzip(gzip(large), "a.gz") == large);

  CHECK_THROWS_WITH(gunzip(packed.substr(0, packed.size() - 9), "a.gz"),
                    "a.gz: the gzip data ends too early");
  CHECK_THROWS_AS(gunzip(packed + "rest", "a.gz"), DataError);
  CHECK_THROWS_AS(gunzip("plain", "a.gz"), DataError);
  CHECK_THROWS_AS(gunzip("", "a.gz"), DataError);
}

TEST_CASE("a text file may be compressed whatever its extension", "[data]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.txt", gzip("text"));
  write_file(folder.path() / "b.txt.gz", "text");

  CHECK(read_text_file(folder.path() / "a.txt").at(0).fields["text"] == "text");
  CHECK(read_text_file(folder.path() / "b.txt.gz").at(0).fields["text"] == "text");
}
