#include "harness/cli/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/error.h"

namespace assay::cli {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    names.push_back(command->get_name());
  return names;
}

/// The innermost parsed command: "list methods" of "assay list methods --josn".
const CLI::App& parsed_command(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return *command;
}

std::vector<std::string> option_names(const CLI::App* command) {
  std::vector<std::string> names;
  for (; command; command = command->get_parent())  // options of the program apply to all commands
    for (const CLI::Option* option : command->get_options())
      for (const std::string& name : option->get_lnames())
        if (std::string full_name = "--" + name;
            std::find(names.begin(), names.end(), full_name) == names.end())
          names.push_back(std::move(full_name));
  return names;
}

[[noreturn]] void refuse_extra(const CLI::App& app, const std::string& argument) {
  const CLI::App& command = parsed_command(app);
  const std::string where = "assay " + (&command == &app ? "" : command.get_display_name());
  if (argument.rfind('-', 0) == 0) {
    const std::string name = argument.substr(0, argument.find('='));
    throw UserError(unknown_name("option", name, where, option_names(&command)));
  }
  const std::vector<std::string> commands = command_names(command);
  if (!commands.empty() && command.get_subcommands().empty())
    throw UserError(unknown_name("command", argument, where, commands));
  user_error("{}: '{}' is one argument too many; see assay {} --help", where, argument,
             command.get_name());
}

/// The first argument that is neither option nor command, where a command is missing.
std::optional<std::string> misspelled_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App& command = parsed_command(app);
  const std::vector<std::string> known = command_names(command);
  if (known.empty()) return std::nullopt;
  int i = 1;
  for (const CLI::App* named = &app; named != &command;) {
    named = named->get_subcommands().front();
    while (i < argc && argv[i] != named->get_name()) ++i;  // options may precede it
    ++i;
  }
  for (; i < argc; ++i)
    if (argv[i][0] != '-' && std::find(known.begin(), known.end(), argv[i]) == known.end())
      return argv[i];
  return std::nullopt;
}

}  // namespace

int parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& e) {
    const std::vector<std::string> left = app.remaining(/*recurse=*/true);
    if (!left.empty()) refuse_extra(app, left.front());
    app.exit(e);
    return UserError::kExitCode;
  } catch (const CLI::RequiredError& e) {
    // CLI11 reports a misspelled command only as a missing one.
    const CLI::App& command = parsed_command(app);
    if (const auto name = misspelled_command(app, argc, argv))
      throw UserError(unknown_name(
          "command", *name, &command == &app ? "the command line" : "assay " + command.get_name(),
          command_names(command)));
    // It reports a misspelled option only as the missing required one.
    for (const std::string& left : app.remaining(/*recurse=*/true))
      if (left.rfind("--", 0) == 0) refuse_extra(app, left);
    app.exit(e);
    return UserError::kExitCode;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? EXIT_SUCCESS : UserError::kExitCode;
  }
  return EXIT_SUCCESS;
}

void add_help(CLI::App& app) {
  CLI::App* command = app.add_subcommand("help", "the help of a command");
  auto names = std::make_shared<std::vector<std::string>>();
  command->add_option("COMMAND", *names, "for example: merge, or: show method");
  command->callback([&app, names] {
    const CLI::App* described = &app;
    std::string path = "assay";
    for (const std::string& name : *names) {
      const std::vector<std::string> known = command_names(*described);
      if (std::find(known.begin(), known.end(), name) == known.end())
        throw UserError(unknown_name("command", name, path, known));
      described = described->get_subcommand(name);
      path += " " + name;
    }
    // Not help(): for the program it would print the help of the parsed command, this one.
    fmt::print("{}", app.get_formatter()->make_help(described, path, CLI::AppFormatMode::Normal));
  });
}

}  // namespace assay::cli
