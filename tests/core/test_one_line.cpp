#include "harness/core/one_line.h"

#include "tests/catch.h"

using assay::one_line;

TEST_CASE("a line is cut to characters, not bytes, and stays one line", "[core]") {
  CHECK(one_line("abc", 2) == "ab");
  CHECK(one_line("abc", 9) == "abc");
  CHECK(one_line("\u00fc\u00fc\u00fc", 2) == "\u00fc\u00fc");
  CHECK(one_line("a\nb\rc\x1b[K", 9) == "a b c [K");
  CHECK(one_line("abc", 0).empty());
}
