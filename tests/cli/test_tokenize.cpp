/// `assay tokenize`: lines of text to ids and back.
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

/// With a folder whose tokenizer_config.json declares a byte tokenizer.
ProcessResult tokenize(const std::string& input, const std::string& options) {
  const TemporaryFolder folder;
  write_file(folder.path() / "input", input);
  write_file(folder.path() / "tokenizer_config.json", R"({"tokenizer_class":"ByteTokenizer"})");
  return run_process({"sh", "-c",
                      std::string(ASSAY_PROGRAM) + " -q tokenize " + folder.path().string() + " " +
                          options + " < " + (folder.path() / "input").string()});
}

}  // namespace

TEST_CASE("lines become ids", "[cli]") {
  CHECK(tokenize("ab\n\nc\n", "").output == "97 98\n\n99\n");
  CHECK(tokenize("\"a\\nb\"\n", "--json").output == "97 10 98\n");
  CHECK(tokenize("\xFF", "").output == "239 191 189\n");  // U+FFFD
}

TEST_CASE("ids become lines", "[cli]") {
  CHECK(tokenize("97 98\n\n", "--decode").output == "ab\n\n");
  CHECK(tokenize("97 10 98\n", "--decode --json").output == "\"a\\nb\"\n");
}

TEST_CASE("what cannot be tokenized is refused with the line", "[cli]") {
  const ProcessResult words = tokenize("97\nab\n", "--decode");
  CHECK(words.exit_code == 2);
  CHECK_THAT(words.output, Catch::Contains("line 2") && Catch::Contains("'ab'"));
  CHECK(tokenize("ab\n", "--json").exit_code == 2);
  CHECK(tokenize("300\n", "--decode").exit_code == 3);
  const ProcessResult large = tokenize("97 99999999999999\n", "--decode");
  CHECK(large.exit_code == 2);
  CHECK_THAT(large.output, Catch::Contains("99999999999999"));
  CHECK_THAT(run_process({ASSAY_PROGRAM, "tokenize", "/proc/self"}).output,
             Catch::Contains("not a model folder"));
  // Unreadable standard input is an error, not empty input.
  const TemporaryFolder folder;
  write_file(folder.path() / "tokenizer_config.json", R"({"tokenizer_class":"ByteTokenizer"})");
  const ProcessResult unread = run_process(
      {"sh", "-c", ASSAY_PROGRAM " tokenize " + folder.path().string() + " < /proc/self"});
  CHECK(unread.exit_code == 3);
  CHECK_THAT(unread.output, Catch::Contains("cannot read standard input"));
}
