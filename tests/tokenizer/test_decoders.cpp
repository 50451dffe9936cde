#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("characters back to bytes", "[tokenizer]") {
  const std::string json = R"({"type":"ByteLevel"})";
  CHECK(decoded(json, {"Hi", "\u0120\u00C3", "\u00A9"}) == Texts{"Hi \u00E9"});
  CHECK(decoded(json, {"\u00C3", "!"}) == Texts{"\uFFFD!"});  // half a character
  CHECK(decoded(json, {"\u20AC", "!"}) == Texts{"\u20AC!"});  // outside the alphabet
}

TEST_CASE("byte tokens are decoded", "[tokenizer]") {
  const std::string json = R"({"type":"ByteFallback"})";
  CHECK(decoded(json, {"a", "<0xC3>", "<0xA9>", "b"}) == Texts{"a", "\u00E9", "b"});
  CHECK(decoded(json, {"<0xC3>", "<0xC3>", "b"}) == Texts{"\uFFFD", "\uFFFD", "b"});
  CHECK(decoded(json, {"<0xZZ>"}) == Texts{"<0xZZ>"});
}

TEST_CASE("tokens are fused, stripped and replaced", "[tokenizer]") {
  CHECK(decoded(R"({"type":"Fuse"})", {"a", "b"}) == Texts{"ab"});
  CHECK(decoded(R"({"type":"Strip","content":" ","start":1,"stop":0})", {"  a ", "b"}) ==
        Texts{" a ", "b"});
  CHECK(decoded(R"({"type":"Replace","pattern":{"String":"_"},"content":" "})", {"_a_", "b"}) ==
        Texts{" a ", "b"});
  CHECK(decoded(R"({"type":"Sequence","decoders":[{"type":"Fuse"},
                    {"type":"Strip","content":" ","start":1,"stop":0}]})",
                {" a", " b"}) == Texts{"a b"});
}

TEST_CASE("space symbols back to spaces", "[tokenizer]") {
  CHECK(decoded(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"always"})",
                {"_a", "b", "_c"}) == Texts{"a", "b", " c"});
  CHECK(decoded(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"never"})",
                {"_a", "_c"}) == Texts{" a", " c"});
}

TEST_CASE("parts of words are joined", "[tokenizer]") {
  const std::string json = R"({"type":"WordPiece","prefix":"##","cleanup":true})";
  CHECK(decoded(json, {"un", "##able", "to", ",", "do", "n't"}) ==
        Texts{"un", "able", " to", ",", " do", "n't"});
  CHECK(decoded(R"({"type":"WordPiece","prefix":"##","cleanup":false})", {"to", ","}) ==
        Texts{"to", " ,"});
  CHECK(decoded(R"({"type":"BPEDecoder","suffix":"</w>"})", {"a", "b</w>", "c</w>"}) ==
        Texts{"a", "b ", "c"});
}

TEST_CASE("unknown decoders are rejected with the known ones", "[tokenizer]") {
  CHECK_THROWS_WITH(decoded(R"({"type":"CTC"})", {}), Contains("'CTC'") && Contains("Fuse"));
}
