#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

TEST_CASE("SHA-256 gives the published digests", "[core]") {
  // FIPS 180-2, appendix B.1, and the digest of nothing.
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  CHECK(sha256_bytes("abc") == abc);
  CHECK(sha256_bytes("") == empty);

  const TemporaryFolder folder;
  write_file(folder.path() / "abc", "abc");
  CHECK(sha256_file(folder.path() / "abc") == abc);
  // A million times "a", appendix B.3, and more than one buffer of it.
  CHECK(sha256_bytes(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  write_file(folder.path() / "long", std::string(2000000, 'a'));
  CHECK(sha256_file(folder.path() / "long") == sha256_bytes(std::string(2000000, 'a')));
  CHECK_THROWS_AS(sha256_file(folder.path() / "absent"), DataError);
  CHECK_THROWS_AS(sha256_file(folder.path()), DataError);
}

TEST_CASE("XXH3-128 gives the published digests", "[core]") {
  // xxHash's own sanity values: no input with seed 0.
  CHECK(Hasher().hex() == "99aa06d3014798d86001c324468d497f");
  CHECK(Hasher().low64() == 0x6001c324468d497f);
}

TEST_CASE("a hash separates its parts but not the blocks of one part", "[core]") {
  CHECK(Hasher().text("ab").text("c").hex() != Hasher().text("a").text("bc").hex());
  CHECK(Hasher().text("").hex() != Hasher().hex());
  CHECK(Hasher().number(1).number(2).hex() != Hasher().number(2).number(1).hex());
  CHECK(Hasher().bytes("ab", 2).bytes("c", 1).hex() == Hasher().bytes("abc", 3).hex());
  CHECK(hash_text("abc") == Hasher().text("abc").hex());
  CHECK(hash_text("abc").size() == 32);
}
