#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <thread>

#include "harness/cli/commands.h"
#include "harness/cli/exit_codes.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/paths.h"
#include "harness/core/process.h"
#include "harness/core/provenance.h"
#include "harness/plugin/plugins.h"
#include "harness/sweep/device.h"
#include "harness/task/dataset.h"
#include "harness/task/task.h"
#include "reports/text_table.h"

namespace assay::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

enum class State {
  kThere,
  kAbsent,  ///< Assay works without it
  kWrong    ///< it does not
};

struct Check {
  std::string topic, name;
  State state;
  std::string text;
  std::string command{};  ///< that gets it
};

using Checks = std::vector<Check>;

const char* state_name(State state) {
  return state == State::kThere ? "ok" : state == State::kAbsent ? "absent" : "wrong";
}

std::vector<fs::path> loaded_libraries() {
  std::vector<fs::path> paths;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        if (info->dlpi_name && info->dlpi_name[0] == '/')
          static_cast<std::vector<fs::path>*>(out)->push_back(info->dlpi_name);
        return 0;
      },
      &paths);
  return paths;
}

// The version in LibTorch's headers beside the library; empty where these are not.
std::string version_beside(const fs::path& library) {
  std::ifstream in(library.parent_path().parent_path() / "include/torch/headeronly/version.h");
  const std::regex part("#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+).*");
  std::string version;
  std::smatch match;
  for (std::string line; std::getline(in, line);)
    if (std::regex_match(line, match, part)) version += (version.empty() ? "" : ".") + match.str(2);
  return version;
}

void check_libraries(Checks& checks) {
  for (const fs::path& path : loaded_libraries()) {
    const std::string name = path.filename().string();
    if (!name.starts_with("libtorch_cpu.so")) {
      checks.push_back({"library", name, State::kThere, path.string()});
      continue;
    }
    const std::string found = version_beside(path);
    const bool other = !found.empty() && found != ASSAY_LIBTORCH_VERSION;
    checks.push_back({"library", "LibTorch", other ? State::kWrong : State::kThere,
                      fmt::format("{} in {}, built with {}", found.empty() ? "no version" : found,
                                  path.parent_path().string(), ASSAY_LIBTORCH_VERSION),
                      other ? "build Assay again with this LibTorch" : ""});
  }
}

void check_devices(Checks& checks) {
  checks.push_back(
      {"device", "cpu", State::kThere,
       fmt::format("{}, {} threads", cpu_name(), std::thread::hardware_concurrency())});
  int found = 0;
  for (;; ++found) try {
      check_available(devices_from_text(fmt::format("cuda:{}", found)));
      checks.push_back(
          {"device", fmt::format("cuda:{}", found), State::kThere, "seen by LibTorch"});
    } catch (const UserError&) {
      break;
    }
  if (found > 0) return;
  const bool driver = fs::exists("/dev/nvidiactl");
  checks.push_back({"device", "cuda", State::kAbsent,
                    driver ? "there is an NVIDIA driver, but LibTorch sees no device"
                           : "this machine has no NVIDIA driver",
                    driver ? "make build ASSAY_CUDA=on" : ""});
}

/// The folder itself or the nearest one above it that exists.
fs::path existing(fs::path folder) {
  std::error_code ignored;
  while (!fs::exists(folder, ignored) && folder != folder.parent_path())
    folder = folder.parent_path();
  return folder;
}

void check_folder(Checks& checks, const std::string& name, const fs::path& folder) {
  const fs::path there = existing(fs::absolute(folder));
  const bool writable = ::access(there.c_str(), W_OK | X_OK) == 0;
  struct statvfs disk {};
  const double free = ::statvfs(there.c_str(), &disk) == 0
                          ? static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize)
                          : 0;
  constexpr double kNeeded = 1;  // the data sets and checkpoints of the quickstart need a tenth
  const bool full = free / kGiB < kNeeded;
  checks.push_back(
      {"folder", name, writable && !full ? State::kThere : State::kWrong,
       fmt::format("{}: {}, {:.1f} GiB of disk free", utf8_text(folder.string()),
                   writable ? "can be written to" : "cannot be written to", free / kGiB),
       writable && !full ? ""
       : name == "data"  ? "export ASSAY_DATA_DIR=/another/folder"
                         : "cd /another/folder"});
}

void check_home(Checks& checks) {
  const fs::path home = home_folder();
  std::string missing;
  for (const char* part : {"tasks", "datasets", "recipes", "sweeps"})
    if (!fs::is_directory(home / part)) missing += fmt::format(" {}/", part);
  const bool there = missing.empty();
  checks.push_back({"folder", "home", there ? State::kThere : State::kWrong,
                    there ? utf8_text(home.string())
                          : fmt::format("{} lacks{}", utf8_text(home.string()), missing),
                    there ? "" : "export ASSAY_HOME=/folder/with/tasks"});
}

// Those of --plugin and ASSAY_PLUGIN_PATH: one of another ABI has already ended the program.
void check_plugins(Checks& checks) {
  checks.push_back({"plugin", "ABI", State::kThere, std::string(plugin_abi())});
  for (const Plugin& plugin : plugins())
    checks.push_back({"plugin", plugin.name, State::kThere, plugin_text(plugin)});
}

void check_memory(Checks& checks) {
  std::ifstream in("/proc/meminfo");
  double total = 0, available = 0;
  const auto value = [](const std::string& line) {
    return std::stod(line.substr(line.find(':') + 1)) * 1024 / kGiB;
  };
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("MemTotal:")) total = value(line);
    if (line.starts_with("MemAvailable:")) available = value(line);
  }
  constexpr double kNeeded = 1;
  checks.push_back({"memory", "memory", available < kNeeded ? State::kWrong : State::kThere,
                    fmt::format("{:.1f} of {:.1f} GiB available", available, total)});
}

void check_tools(Checks& checks) {
  const std::string python = find_program("python3");
  const bool pip =
      !python.empty() && run_process({python, "-I", "-m", "pip", "--version"}).exit_code == 0;
  checks.push_back({"tool", "python3 with pip", pip ? State::kThere : State::kAbsent,
                    pip ? python : "needed to fetch data sets",
                    pip ? "" : "apt-get install python3-pip"});
}

void check_data(Checks& checks) {
  for (const std::string& name : dataset_names()) {
    const DatasetManifest manifest = read_manifest(name);
    size_t missing = 0;
    for (const DataFile& file : manifest.files) missing += fs::exists(manifest.path(file)) ? 0 : 1;
    const bool there = missing == 0;
    checks.push_back({"data set", name, there ? State::kThere : State::kAbsent,
                      there ? manifest.title : fmt::format("{} file(s) missing", missing),
                      there ? "" : "assay data fetch " + name});
  }
}

Checks all_checks() {
  Checks checks;
  checks.push_back(
      {"program", "assay", State::kThere,
       fmt::format("{}, revision {}, {}", utf8_text(fs::read_symlink("/proc/self/exe").string()),
                   git_revision().empty() ? "unknown" : git_revision(), compiler_name())});
  check_libraries(checks);
  check_plugins(checks);
  check_devices(checks);
  check_memory(checks);
  check_home(checks);
  try {
    check_folder(checks, "data", data_folder());
    if (fs::is_directory(home_folder() / "datasets")) check_data(checks);
  } catch (const UserError& e) {  // there is no folder for data
    checks.push_back({"folder", "data", State::kWrong, e.what()});
  }
  check_folder(checks, "current", fs::current_path());
  check_tools(checks);
  return checks;
}

void print(const Checks& checks, bool json) {
  if (json) {
    Json list = Json::array();
    bool ok = true;
    for (const Check& check : checks) {
      ok &= check.state != State::kWrong;
      list.push_back({{"topic", check.topic},
                      {"name", check.name},
                      {"state", state_name(check.state)},
                      {"text", check.text},
                      {"command", check.command}});
    }
    fmt::print("{}\n", Json{{"ok", ok}, {"checks", list}}.dump(2));
    return;
  }
  for (const Check& check : checks)
    fmt::print("{:6} {:8} {:16} {}{}\n", state_name(check.state), check.topic, check.name,
               printable(check.text),
               check.command.empty() ? "" : fmt::format("\n{:33}get it by: {}", "", check.command));
}

}  // namespace

void add_doctor(CLI::App& app, const Common&) {
  CLI::App* command =
      app.add_subcommand("doctor", "what of this machine Assay uses, and what is missing");
  command->footer(
      R"(Each line is ok, absent (Assay works without it) or wrong (it does not). Lines that are not ok say which
command gets what is missing. Exit code 5 when anything is wrong.)");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print JSON");
  command->callback([json] {
    const Checks checks = all_checks();
    print(checks, *json);
    size_t wrong = 0;
    for (const Check& check : checks) wrong += check.state == State::kWrong ? 1 : 0;
    if (wrong > 0) throw NotReady(fmt::format("{} thing(s) that Assay needs are missing", wrong));
  });
}

}  // namespace assay::cli
