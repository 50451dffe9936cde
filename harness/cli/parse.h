/// Parsing of the whole command line; misspelled names are errors with the nearest name.
#pragma once

#include <CLI/CLI.hpp>

namespace assay::cli {

/// Parses the arguments and runs the command's callback. Returns the exit code; UserError on
/// unknown commands and options, with the nearest known name.
int parse(CLI::App& app, int argc, char** argv);

/// `assay help [COMMAND ...]`: the same text as with --help.
void add_help(CLI::App& app);

}  // namespace assay::cli
