/// The command line as a whole: what is misspelt is told with the nearest name.
#pragma once

#include <CLI/CLI.hpp>

namespace assay::cli {

/// Parses, which runs the command's callback. Returns the exit code; UserError on unknown commands
/// and options, with the nearest known name.
int parse(CLI::App& app, int argc, char** argv);

/// `assay help [COMMAND ...]`: the same text as with --help.
void add_help(CLI::App& app);

}  // namespace assay::cli
