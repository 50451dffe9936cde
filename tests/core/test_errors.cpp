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

TEST_CASE("what a plugin registers belongs to it, once its library is open", "[core]") {
  Plugin mine{"mine", "/lib/libmine.so", "01"};
  Registry<int> registry("method");
  registry.add("ties", 1);
  {
    static Registry<int>* registered;
    registered = &registry;
    PluginRegistration registration(mine);
    register_entry([] { registered->add("median", 2); });
    CHECK(registry.names() == std::vector<std::string>{"ties"});
    registration.finish();
  }

  CHECK(registry.at("median", "here") == 2);
  CHECK(registry.plugin_of("median") == &mine);
  CHECK(registry.plugin_of("ties") == nullptr);
  CHECK(registry.plugin_of("nothing") == nullptr);
  CHECK(mine.entries == std::vector<std::pair<std::string, std::string>>{{"method", "median"}});
  CHECK(with_plugin("02", nullptr) == "02");
  CHECK(with_plugin("02", &mine) != with_plugin("03", &mine));
}

TEST_CASE("a plugin's wrong names are errors that say whose they are", "[core]") {
  Plugin first{"first", "/lib/libfirst.so", "01"}, second{"second", "/lib/libsecond.so", "02"};
  Registry<int> registry("method");
  registry.add("ties", 1);
  {
    const PluginRegistration registration(first);
    registry.add("median", 2);
    CHECK_THROWS_WITH(registry.add("ties", 2),
                      "the plugin 'first' (/lib/libfirst.so) registers the method 'ties', a name "
                      "that Assay itself has registered already: rename one");
    CHECK_THROWS_WITH(registry.add("median", 2), Contains("a name that it has registered already"));
    CHECK_THROWS_WITH(registry.add("Big Name", 2), Contains("made of a-z, 0-9 and '_'"));
  }
  const PluginRegistration registration(second);
  CHECK_THROWS_WITH(registry.add("median", 2),
                    Contains("'second' (/lib/libsecond.so)") &&
                        Contains("the plugin 'first' (/lib/libfirst.so) has registered already"));
  CHECK(registry.at("median", "here") == 2);
  CHECK(first.entries.size() == 1);
  CHECK(second.entries.empty());
}
