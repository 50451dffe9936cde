#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/task/dataset.h"

namespace assay::cli {
namespace {

std::vector<std::string> selected(const std::vector<std::string>& names) {
  return names.empty() ? dataset_names() : names;
}

void fetch(const std::vector<std::string>& names) {
  std::string problems;
  size_t failed = 0;
  for (const std::string& name : selected(names)) try {
      const bool fetched = fetch_dataset(read_manifest(name));
      log_info("{}: {}", name, fetched ? "fetched" : "already present");
    } catch (const DataError& error) {  // continues with the other datasets
      problems += fmt::format("{}{}", failed++ == 0 ? "" : "\n", error.what());
    }
  if (failed == 1) throw DataError(problems);
  if (failed > 1) data_error("{} datasets cannot be fetched:\n{}", failed, problems);
}

void verify(const std::vector<std::string>& names) {
  int64_t problems = 0;
  for (const std::string& name : selected(names)) {
    const auto found = verify_dataset(read_manifest(name));
    for (const std::string& problem : found) fmt::print("{}: {}\n", name, problem);
    if (found.empty()) fmt::print("{}: all files are valid\n", name);
    problems += static_cast<int64_t>(found.size());
  }
  if (problems > 0)
    data_error("{} file(s) missing or damaged: 'assay data fetch' fetches them again", problems);
}

void list() {
  for (const std::string& name : dataset_names()) {
    const DatasetManifest manifest = read_manifest(name);
    fmt::print("{:16} {} ({}); {}\n", name, manifest.title, manifest.licence,
               verify_dataset(manifest).empty() ? "there" : "not fetched");
  }
}

}  // namespace

void add_data(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("data", "list, fetch or verify datasets");
  command->footer(
      R"(Data are stored in the folder ASSAY_DATA_DIR, else in data/ of the source tree, or in
~/.cache/assay/data when the program is installed.
Example: assay data fetch mnist5k optdigits)");
  command->require_subcommand(1);
  auto names = std::make_shared<std::vector<std::string>>();
  command->add_subcommand("list", "the datasets, their licences and whether they are fetched")
      ->callback(list);
  CLI::App* fetch_command = command->add_subcommand("fetch", "fetch missing or damaged files");
  fetch_command->add_option("NAME", *names, "datasets (default: all)");
  fetch_command->callback([names] { fetch(*names); });
  CLI::App* verify_command = command->add_subcommand("verify", "check every file");
  verify_command->add_option("NAME", *names, "datasets (default: all)");
  verify_command->callback([names] { verify(*names); });
}

}  // namespace assay::cli
