#include <poll.h>

#include <csignal>
#include <cstdlib>

#include "harness/core/error.h"
#include "harness/core/process.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("a program's output and exit code are returned", "[core]") {
  const ProcessResult result = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(result.exit_code == 3);
  CHECK(result.output == "out\nerr\n");
  CHECK(run_process({"true"}).exit_code == 0);
  // Arguments pass through no shell.
  CHECK(run_process({"printf", "%s", "$HOME; *"}).output == "$HOME; *");
}

TEST_CASE("a program ended by a signal or not started has its own exit code", "[core]") {
  const ProcessResult killed = run_process({"sh", "-c", "kill -SEGV $$"});
  CHECK(killed.exit_code == 128 + SIGSEGV);
  CHECK_THAT(exit_text(killed.exit_code), Contains("signal 11"));
  CHECK(exit_text(3) == "exit code 3");
  CHECK(exit_text(255) == "exit code 255");

  const ProcessResult absent = run_process({"/no/such/program"});
  CHECK(absent.exit_code == 127);
  CHECK_THAT(absent.output, Contains("/no/such/program") && Contains("No such file"));
}

TEST_CASE("a child answers line by line", "[core]") {
  ChildProcess child({"cat"});
  CHECK(child.write_line("first"));
  CHECK(child.write_line("second"));

  CHECK(child.read_line() == "first");
  CHECK(child.read_line() == "second");
  CHECK_FALSE(child.has_buffered_line());
  CHECK(child.wait() == 0);
  CHECK_FALSE(child.read_line());
}

TEST_CASE("a line longer than a pipe holds arrives whole", "[core]") {
  ChildProcess child({"sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end"});
  const auto line = child.read_line();
  REQUIRE(line);
  CHECK(*line == std::string(300000, 'x'));
  CHECK(child.read_line() == "end");
}

TEST_CASE("a child's own environment replaces the inherited values", "[core]") {
  ::setenv("ASSAY_TEST_VALUE", "inherited", 1);
  ChildProcess child({"sh", "-c", "echo $ASSAY_TEST_VALUE"}, {"ASSAY_TEST_VALUE=own"});
  CHECK(child.read_line() == "own");
  CHECK(child.wait() == 0);
  ::unsetenv("ASSAY_TEST_VALUE");
}

TEST_CASE("the death of a child ends its output and fails writes to it", "[core]") {
  ChildProcess child({"sh", "-c", "read line; echo got $line; kill -KILL $$"});
  CHECK(child.write_line("work"));
  CHECK(child.read_line() == "got work");
  CHECK_FALSE(child.read_line());
  // The output ended, so the child has ended or is ending; writes to its pipe then fail.
  while (child.write_line("more")) {
  }
  CHECK(child.wait() == 128 + SIGKILL);
}

TEST_CASE("a child that hangs is killed with its handle", "[core]") {
  pid_t pid = 0;
  {
    ChildProcess child({"sleep", "1000"});
    pid = child.pid();
    CHECK(::kill(pid, 0) == 0);
  }
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("a child that cannot be started is an error", "[core]") {
  CHECK_THROWS_AS(ChildProcess({"/no/such/program"}), DataError);
}

TEST_CASE("programs are looked up only in absolute folders of PATH", "[core]") {
  const std::string before = std::getenv("PATH");
  CHECK(find_program("sh").starts_with('/'));
  CHECK(find_program("no-such-program").empty());
  ::setenv("PATH", ".::relative", 1);
  CHECK(find_program("sh").empty());
  ::setenv("PATH", before.c_str(), 1);
}
