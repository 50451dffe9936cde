#include <fmt/format.h>

#include "harness/cli/command_tree.h"
#include "harness/cli/commands.h"
#include "harness/cli/completion_scripts.h"

namespace assay::cli {

void add_completion(CLI::App& app, const std::string& version) {
  CLI::App* command =
      app.add_subcommand("completion", "completion of commands and options for a shell");
  command->footer(
      R"(To be sourced: in ~/.bashrc, in ~/.zshrc after compinit, or in fish's config.fish.
Example: assay completion bash)");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, auto text) {
    command->add_subcommand(name, help)->callback([&app, text] {
      fmt::print("{}", text(command_tree(app)));
    });
  };
  add("bash", "a script for bash", bash_completion);
  add("zsh", "a script for zsh", zsh_completion);
  add("fish", "a script for fish", fish_completion);
  add("man", "the manual page, in roff",
      [version](const std::vector<CommandLine>& tree) { return manual_page(tree, version); });
}

}  // namespace assay::cli
