#include "harness/task/lm_eval_import.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/ascii.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/internal/lm_eval_task.h"
#include "harness/task/task.h"

namespace assay {
namespace {

bool is_yaml(const fs::path& path) {
  const std::string end = ascii_lower(path.extension().string());
  return end == ".yaml" || end == ".yml";
}

std::vector<fs::path> yaml_files(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file() && is_yaml(entry.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty()) user_error("'{}' has no .yaml files", path.string());
  return files;
}

/// Names of the tasks of a group, which may hold groups. UserError where the group changes a task,
/// since a task has one definition.
void add_members(const LmEvalConfig& group, const YamlNode& members,
                 std::vector<std::string>& names) {
  for (const YamlNode& member : members.items) {
    if (member.is_scalar()) names.push_back(member.text);
    const YamlNode* inner = member.find("task");
    if (inner && inner->is_list()) add_members(group, *inner, names);
    if (!inner || !inner->is_scalar()) continue;
    names.push_back(inner->text);
    for (const YamlEntry& entry : member.entries)
      if (entry.key != "task" && !entry.key.ends_with("_alias") && entry.key != "weight_by_size")
        user_error("{}:{}: the group changes '{}' of the task '{}', which cannot be imported",
                   group.where(), entry.line, entry.key, inner->text);
  }
}

}  // namespace

ImportedTasks import_lm_eval(const fs::path& path, const std::string& name) {
  std::map<std::string, std::string> family_of;  // by task or group
  std::vector<LmEvalConfig> tasks;
  for (const fs::path& file : yaml_files(path)) {
    LmEvalConfig config = LmEvalConfig::read(file);
    const YamlNode* task = config.find("task");
    if (config.find("group") && task && task->is_list()) {
      std::vector<std::string> members;
      add_members(config, *task, members);
      for (const std::string& member : members) family_of[member] = config.at("group").text;
    } else if (task && task->is_scalar()) {
      tasks.push_back(std::move(config));
    } else if (!fs::is_directory(path)) {
      user_error("{}: neither a task nor a group: it has no 'task'", file.string());
    }
  }
  if (tasks.empty())
    user_error("'{}' has no task of its own: import the folder that holds the group's tasks",
               path.string());
  ImportedTasks imported;
  std::set<std::string> names;
  for (const LmEvalConfig& config : tasks) {
    LmEvalTask task = convert_lm_eval(config);
    const std::string task_name = task.definition.at("name");
    if (!names.insert(task_name).second)
      user_error("{}: another file has the task '{}'", config.where(), task_name);
    // The outermost group.
    std::string family = task_name;
    for (int depth = 0; depth < 10 && family_of.contains(family); ++depth)
      family = family_of.at(family);
    if (family != task_name) task.definition["family"] = family;
    Json& suite = imported.suites[task.kind];
    if (suite.is_null())
      suite = {{"summary", fmt::format("{}, imported from lm-evaluation-harness", name)},
               {"kind", task.kind},
               {"tasks", Json::array()}};
    suite["tasks"].push_back(task.definition);
    for (const std::string& note : task.notes)
      imported.notes.push_back(fmt::format("{}: {}", task_name, note));
    // Held to the kind's own rules.
    Json definition = task.definition;
    definition.erase("name");
    task_kinds().at(task.kind, config.where())(fmt::format("{}/{}", name, task_name),
                                               JsonReader(definition, config.where()));
  }
  return imported;
}

}  // namespace assay
