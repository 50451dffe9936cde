#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"

namespace assay::cli {
namespace {

struct Kind {
  const char *name, *help;
};

constexpr Kind kKinds[] = {
    {"method", "a merging method"},
    {"modifier", "a method that changes what another one merges"},
    {"router", "a router for mixtures of experts, with models and tasks of its own"},
    {"statistic", "a statistic of a model on its own data, and a method that reads it"},
    {"task", "a task kind, with data of its own"},
    {"architecture", "a network architecture"}};

// Targets of CMake and of the installed package.
constexpr const char* kReserved[] = {"all",     "assay",   "clean",         "edit_cache", "help",
                                     "install", "package", "rebuild_cache", "test"};

void check_name(const std::string& name) {
  const bool valid =
      !name.empty() && std::islower(static_cast<unsigned char>(name.front())) &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (!valid) user_error("the name '{}': expected a-z, 0-9 and '_', beginning with a letter", name);
  if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved))
    user_error("the name '{}' is one that the build uses itself: choose another", name);
}

/// "input_mean" as "InputMean".
std::string type_name(const std::string& name) {
  std::string type;
  bool first = true;
  for (const char c : name) {
    if (c == '_') {
      first = true;
      continue;
    }
    type += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    first = false;
  }
  return type;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

void write_project(const std::string& kind, const std::string& name, const fs::path& folder) {
  check_name(name);
  if (path_exists(folder)) user_error("'{}' is there already", utf8_text(folder.string()));
  const fs::path templates = home_folder() / "templates";
  for (const fs::path& from : {templates / "common", templates / kind}) {
    if (!fs::is_directory(from)) data_error("there is no folder '{}'", from.string());
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      if (!entry.is_regular_file()) continue;
      std::string text = read_file(entry.path()), path = fs::relative(entry.path(), from).string();
      replace_all(text, "@NAME@", name);
      replace_all(text, "@TYPE@", type_name(name));
      replace_all(text, "@KIND@", kind);
      // Suites and models of the project's own.
      const bool own_tasks = fs::is_directory(templates / kind / "tasks");
      const bool own_models = fs::exists(templates / kind / "make_models.cpp");
      replace_all(text, "@ENV@", own_tasks ? "ASSAY_TASKS_DIR=tasks " : "");
      replace_all(text, "@MODELS@", own_models ? "build/make_models models && " : "");
      replace_all(path, "NAME", name);
      if (path.ends_with(".in")) path.resize(path.size() - 3);  // of no language before
      fs::create_directories((folder / path).parent_path());
      // A kind's own part of a common file follows it.
      if (path_exists(folder / path)) text.insert(0, read_file(folder / path));
      write_file(folder / path, text);
    }
  }
  fmt::print("{}\n", utf8_text((folder / "README.md").string()));
}

}  // namespace

void add_new(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand(
      "new", "write a project for a plugin: a source that works, its test and a small sweep");
  command->footer(R"(Prints the path of the project's README, which says how it is built and run.
Example: assay new method wise)");
  command->require_subcommand(1);
  for (const Kind& kind : kKinds) {
    CLI::App* sub = command->add_subcommand(kind.name, kind.help);
    auto name = std::make_shared<std::string>();
    auto folder = std::make_shared<std::string>();
    sub->add_option("NAME", *name, "of what is registered: a-z, 0-9 and '_'")->required();
    sub->add_option("-o,--output", *folder, "the folder to make (default: NAME)");
    sub->callback([kind, name, folder] {
      write_project(kind.name, *name, folder->empty() ? *name : *folder);
    });
  }
}

}  // namespace assay::cli
