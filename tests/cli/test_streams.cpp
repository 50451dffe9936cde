/// Standard streams that are closed, full or files.
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

ProcessResult shell(const std::string& command) {
  return run_process({"sh", "-c", "assay() { exec " ASSAY_PROGRAM " \"$@\"; }; " + command});
}

}  // namespace

TEST_CASE("output that cannot be written is an error", "[cli]") {
  for (const char* command : {"list methods", "show method ties --json", "--help"}) {
    const ProcessResult full = shell(std::string("assay ") + command + " > /dev/full");
    INFO(command << ": " << full.output);
    CHECK(full.exit_code == 3);
    CHECK_THAT(full.output, Catch::Contains("cannot write to standard output"));
    CHECK(shell(std::string("assay ") + command + " 2>/dev/full").exit_code == 0);
    CHECK(shell(std::string("assay ") + command + " >&-").exit_code == 3);
  }
}

TEST_CASE("a closed standard error does not change the exit code", "[cli]") {
  for (const char* closed : {" 2>&-", " 2>/dev/full", " 0<&- 1>&- 2>&-"}) {
    CHECK(shell(std::string("assay report no-such-file") + closed).exit_code == 3);
    CHECK(shell(std::string("assay merge no-such-file -o x") + closed).exit_code == 2);
    CHECK(shell(std::string("assay no-such-command") + closed).exit_code == 2);
  }
}
