/// The subcommands of the program `assay`, one file each. Each adds itself to the application; its
/// callback does the work and throws on errors, which main() turns into exit codes.
#pragma once

#include <CLI/CLI.hpp>

namespace assay::cli {

/// What all subcommands share.
struct Common {
  std::string command_line;  ///< as typed, for the stored run
  std::string program;       ///< path of this executable, for worker processes
  bool quiet = false;
};

/// Help of --device for commands that can split a model.
inline constexpr const char* kDevicesHelp =
    "auto, cpu, cuda[:INDEX], or several to split a language model over: cuda:0,cuda:1";

void add_run(CLI::App& app, const Common& common);
void add_report(CLI::App& app, const Common& common);
void add_merge(CLI::App& app, const Common& common);
void add_eval(CLI::App& app, const Common& common);
void add_generate(CLI::App& app, const Common& common);
void add_encode(CLI::App& app, const Common& common);
void add_train(CLI::App& app, const Common& common);
void add_data(CLI::App& app, const Common& common);
void add_db(CLI::App& app, const Common& common);
void add_statistics(CLI::App& app, const Common& common);
void add_tokenize(CLI::App& app, const Common& common);
void add_list(CLI::App& app, const Common& common);
void add_show(CLI::App& app, const Common& common);
void add_doctor(CLI::App& app, const Common& common);
/// `app` has all other commands when the completion is asked for; `version` is that of the manual.
void add_completion(CLI::App& app, const std::string& version);
void add_new(CLI::App& app, const Common& common);
void add_task(CLI::App& app, const Common& common);
/// Hidden: `assay run` starts its worker processes with it.
void add_worker(CLI::App& app, const Common& common);

}  // namespace assay::cli
