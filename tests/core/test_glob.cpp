#include "harness/core/glob.h"

#include "tests/catch.h"

using namespace assay;

TEST_CASE("a star stands for any characters, a question mark for one", "[core][glob]") {
  CHECK(matches_glob("*", ""));
  CHECK(matches_glob("*.weight", "model.layers.0.mlp.weight"));
  CHECK(matches_glob("digits/*", "digits/held-in/a"));
  CHECK(matches_glob("*", ".hidden"));
  CHECK(matches_glob("layers.?.bias", "layers.7.bias"));
  CHECK_FALSE(matches_glob("layers.?.bias", "layers.17.bias"));
  CHECK_FALSE(matches_glob("layers.?.bias", "layers..bias"));
  CHECK_FALSE(matches_glob("?", ""));
}

TEST_CASE("a glob is matched with the whole name", "[core][glob]") {
  CHECK(matches_glob("ties", "ties"));
  CHECK_FALSE(matches_glob("ties", "dare_ties"));
  CHECK_FALSE(matches_glob("ti", "ties"));
  CHECK_FALSE(matches_glob("TIES", "ties"));
  CHECK_FALSE(matches_glob("", "ties"));
}

TEST_CASE("brackets name characters, a backslash takes them as they are", "[core][glob]") {
  CHECK(matches_glob("layers.[02].bias", "layers.2.bias"));
  CHECK_FALSE(matches_glob("layers.[02].bias", "layers.1.bias"));
  CHECK(matches_glob("layers.[!02].bias", "layers.1.bias"));
  CHECK(matches_glob("a\\*", "a*"));
  CHECK_FALSE(matches_glob("a\\*", "ab"));
}

TEST_CASE("one glob of several is enough", "[core][glob]") {
  CHECK(matches_any({"*.bias", "head.*"}, "head.weight"));
  CHECK_FALSE(matches_any({"*.bias", "head.*"}, "body.weight"));
  CHECK_FALSE(matches_any({}, "head.weight"));
}
