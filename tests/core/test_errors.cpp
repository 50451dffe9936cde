#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// The standard error of a forked process that runs `action` and aborts; empty when it does not
/// abort.
std::string abort_message(const std::function<void()>& action) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::signal(SIGABRT, SIG_DFL);  // instead of the handler of the test framework
    action();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char chunk[512];
  for (ssize_t count; (count = ::read(ends[0], chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<size_t>(count));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? text : "";
}

}  // namespace

TEST_CASE("a suggestion gives the nearest name and lists the known ones", "[core]") {
  CHECK(suggestion("tyes", {"mean", "ties"}) == " Did you mean 'ties'? Known: mean, ties.");
  CHECK(suggestion("zzzzzz", {"mean", "ties"}) == " Known: mean, ties.");
  CHECK(suggestion("anything", {}).empty());
  CHECK_THAT(suggestion("x", std::vector<std::string>(100, "name")), Contains("name, ..."));
  CHECK(unknown_name("method", "tyes", "sweep.json: $.methods[0]", {"ties"}) ==
        "unknown method 'tyes' in sweep.json: $.methods[0]. Did you mean 'ties'? Known: ties.");
}

TEST_CASE("errors carry their exit codes and formatted messages", "[core]") {
  STATIC_REQUIRE(UserError::kExitCode == 2);
  STATIC_REQUIRE(DataError::kExitCode == 3);
  CHECK_THROWS_WITH(user_error("{} of {}", 1, "x"), "1 of x");
  CHECK_THROWS_AS(data_error("x"), DataError);
}

TEST_CASE("a registry finds by name, in alphabetical order", "[core]") {
  Registry<int> registry("method");
  registry.add("ties", 2);
  registry.add("mean", 1);

  CHECK(registry.at("ties", "here") == 2);
  CHECK(registry.names() == std::vector<std::string>{"mean", "ties"});
  CHECK_THROWS_AS(registry.at("tie", "sweep.json"), UserError);
  CHECK_THROWS_WITH(registry.at("tie", "sweep.json"),
                    "unknown method 'tie' in sweep.json. Did you mean 'ties'? Known: mean, ties.");
}

TEST_CASE("a name registered twice, or badly formed, is a bug that aborts", "[core]") {
  CHECK_THAT(abort_message([] {
               Registry<int> registry("method");
               registry.add("ties", 1);
               registry.add("ties", 2);
             }),
             Contains("two methods register the name 'ties'"));
  CHECK_THAT(abort_message([] { Registry<int>("method").add("Big Name", 1); }),
             Contains("method name 'Big Name'"));
  CHECK(abort_message([] { Registry<int>("method").add("ties_2", 1); }).empty());
}
