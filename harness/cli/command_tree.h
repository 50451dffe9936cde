/// The commands and options of the program as plain data, for what describes them elsewhere: the
/// completion of shells, the manual page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace assay::cli {

struct OptionLine {
  std::vector<std::string> names;  ///< with their dashes; of an argument: its one name
  std::string help;
  std::string value;  ///< what stands after it: "TEXT", "FILE ..."; empty for a flag
};

struct CommandLine {
  std::vector<std::string> words;  ///< {"show", "method"}; empty for the program
  std::string help;
  std::string footer;  ///< its own; empty where CLI11 would repeat that of the program
  std::vector<OptionLine> options, arguments;
  std::vector<const CLI::App*> commands;  ///< below it
  std::string path() const;               ///< "show method"
};

/// All commands that --help shows, each before those below it.
std::vector<CommandLine> command_tree(const CLI::App& app);

}  // namespace assay::cli
