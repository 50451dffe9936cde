/// Text that follows from the tree of commands: completion scripts of shells and the manual page.
#pragma once

#include <string>
#include <vector>

#include "harness/cli/command_tree.h"

namespace assay::cli {

std::string bash_completion(const std::vector<CommandLine>& tree);
std::string zsh_completion(const std::vector<CommandLine>& tree);
std::string fish_completion(const std::vector<CommandLine>& tree);

/// In roff, for man(1).
std::string manual_page(const std::vector<CommandLine>& tree, const std::string& version);

}  // namespace assay::cli
