#include "harness/cli/command_tree.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace assay::cli {
namespace {

bool is_shown(const CLI::App* command) { return !command->get_group().empty(); }

std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const bool repeats = option.get_items_expected_max() > 1;
  return option.get_type_name() + (repeats ? " ..." : "");
}

OptionLine option_line(const CLI::Option& option) {
  OptionLine line{{}, option.get_description(), value_of(option)};
  if (option.get_positional() && option.get_lnames().empty()) {
    line.names = {option.get_name(true)};
    return line;
  }
  for (const std::string& name : option.get_snames()) line.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) line.names.push_back("--" + name);
  return line;
}

void add(const CLI::App& command, std::vector<std::string> words, const std::string& outer_footer,
         std::vector<CommandLine>& lines) {
  CommandLine line{std::move(words), command.get_description(), command.get_footer(), {}, {}, {}};
  if (line.footer == outer_footer) line.footer.clear();
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    if (!line.words.empty() && option == command.get_help_ptr()) continue;  // the program has it
    OptionLine described = option_line(*option);
    const bool is_option = described.names.front().starts_with("-");
    (is_option ? line.options : line.arguments).push_back(std::move(described));
  }
  line.commands = command.get_subcommands(is_shown);
  lines.push_back(line);
  for (const CLI::App* below : line.commands) {
    words = line.words;
    words.push_back(below->get_name());
    add(*below, words, command.get_footer(), lines);
  }
}

}  // namespace

std::string CommandLine::path() const { return fmt::format("{}", fmt::join(words, " ")); }

std::vector<CommandLine> command_tree(const CLI::App& app) {
  std::vector<CommandLine> lines;
  add(app, {}, "", lines);
  return lines;
}

}  // namespace assay::cli
