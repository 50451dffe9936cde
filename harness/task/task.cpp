#include "harness/task/task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "harness/core/error.h"
#include "harness/core/glob.h"
#include "harness/core/mean.h"
#include "harness/tokenizer/chat_template.h"

namespace assay {
namespace {

struct TaskEntry {
  std::string name, kind;
  Json definition;
  std::string where;
  fs::path suite;  // path of the suite's file
};

// A relative path is relative to the suite's folder if that file exists, else to the data folder.
void resolve_suite_files(const fs::path& folder, Json& definition) {
  const auto resolve = [&](Json& name) {
    if (!name.is_string()) return;
    const fs::path path = folder / name.get<std::string>();
    if (fs::is_regular_file(path)) name = path.string();
  };
  // The model that a zero-shot head is made of; other names are those of find_model().
  if (const auto head = definition.find("zero_shot"); head != definition.end() && head->is_object())
    if (const auto model = head->find("model"); model != head->end() && model->is_string())
      if (const fs::path path = folder / model->get<std::string>(); fs::exists(path))
        *model = path.string();
  const auto dataset = definition.find("dataset");
  if (dataset == definition.end() || !dataset->is_object() || !dataset->contains("files")) return;
  for (Json& part : dataset->at("files")) {
    resolve(part);
    if (!part.is_object()) continue;
    for (const char* key : {"path", "labels"})
      if (part.contains(key)) resolve(part[key]);
  }
}

// The definition with its changes.
Json with_changes(const TaskEntry& entry, const TaskChanges& changes) {
  Json definition = entry.definition;
  const bool text = definition.contains("dataset") && definition["dataset"].is_object();
  if (!changes.chat.empty()) {
    if (!text || !definition.contains("prompt"))
      user_error("the task '{}' has no prompt for a language model: a chat template does not apply",
                 entry.name);
    definition["chat"] = ChatTemplate::open(changes.chat).json();
  }
  if ((changes.limit || changes.few_shot) && !text)
    user_error("the task '{}' is not about text: a limit and few-shot examples do not apply to it",
               entry.name);
  if (changes.limit) definition["limit"] = *changes.limit;
  if (!changes.few_shot) return definition;
  if (*changes.few_shot == 0) {
    definition.erase("few_shot");
    return definition;
  }
  if (!definition.contains("prompt"))
    user_error("the task '{}' has no prompt, so it takes no few-shot examples", entry.name);
  if (!definition.contains("few_shot")) {
    if (!definition["dataset"].value("files", Json::object()).contains("train"))
      user_error("the task '{}' has neither 'few_shot' nor a train split to take examples from",
                 entry.name);
    definition["few_shot"] = {{"split", "train"}};
  }
  definition["few_shot"]["count"] = *changes.few_shot;
  return definition;
}

void read_suite(const fs::path& path, std::vector<TaskEntry>& entries) {
  const Json json = read_json(path);
  JsonReader reader(json, path.string() + ": $");
  const std::string suite = path.stem();
  reader.string("summary");
  const std::string kind = reader.string("kind");
  const auto shared = reader.find("shared");
  if (shared && !shared->is_object()) shared->fail("expected an object");
  const JsonReader tasks = reader.at("tasks");
  reader.finish();
  task_kinds().at(kind, path.string());
  const fs::path folder = fs::absolute(path).parent_path();
  for (JsonReader task : tasks.elements()) {
    TaskEntry entry{suite + "/" + task.string("name"), kind, Json::object(), task.where(), path};
    if (shared) entry.definition = shared->json();
    entry.definition.update(task.json());
    entry.definition.erase("name");
    resolve_suite_files(folder, entry.definition);
    for (const TaskEntry& other : entries)
      if (other.name == entry.name) task.fail("two tasks have the same name");
    entries.push_back(std::move(entry));
  }
}

std::vector<fs::path> suites_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code ignored;  // the home folder may have no tasks
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Suites in alphabetical order, tasks in the order of their file.
std::vector<TaskEntry> read_suites() {
  std::vector<fs::path> paths = suites_in(home_folder() / "tasks");
  const char* user_folder = std::getenv("ASSAY_TASKS_DIR");
  std::error_code ignored;  // the folder may be missing
  if (user_folder && *user_folder && !fs::equivalent(user_folder, home_folder() / "tasks", ignored))
    for (fs::path& path : suites_in(user_folder)) paths.push_back(std::move(path));
  std::vector<TaskEntry> entries;
  for (const fs::path& path : paths) read_suite(path, entries);
  return entries;
}

std::vector<std::string> names_of(const std::vector<TaskEntry>& entries) {
  std::vector<std::string> names;
  for (const TaskEntry& entry : entries) names.push_back(entry.name);
  return names;
}

// What every task takes from load_task() that makes it on this thread: the kinds know nothing of
// it.
struct Making {
  const Plugin* plugin = nullptr;  // of the kind; null: Assay itself
  TaskChanges changes{};
};
thread_local Making making;

class MakingTask {
 public:
  MakingTask(const Plugin* plugin, const TaskChanges& changes) { making = {plugin, changes}; }
  ~MakingTask() { making = {}; }
  MakingTask(const MakingTask&) = delete;
  MakingTask& operator=(const MakingTask&) = delete;
};

std::shared_ptr<const Task> make_task(const TaskEntry& entry, const TaskChanges& changes) {
  struct Made {
    Json definition;  // must outlive the task, which refers to it
    std::shared_ptr<const Task> task;
  };
  // Memoized per process: a task is immutable, and its key contains all that determines it.
  static std::mutex mutex;
  static std::map<std::string, Made> made;
  const std::lock_guard lock(mutex);
  // The key contains the definition's location: another home folder may define another task of this
  // name.
  Json definition = with_changes(entry, changes);
  auto& [known, task] = made[entry.where + canonical(definition)];
  if (!task) {
    known = std::move(definition);
    const TaskKind& kind = task_kinds().at(entry.kind, entry.where);
    const MakingTask with(task_kinds().plugin_of(entry.kind), changes);
    task = kind(entry.name, JsonReader(known, entry.where));
  }
  return task;
}

}  // namespace

Task::Task(std::string name, const std::string& hash, Json definition)
    : name_(std::move(name)),
      hash_(with_plugin(hash, making.plugin)),
      plugin_(making.plugin),
      changes_(making.changes),
      definition_(std::move(definition)) {}

TaskChanges read_task_changes(JsonReader& object) {
  TaskChanges changes;
  const auto integer = [&](const char* key, int64_t low) -> std::optional<int64_t> {
    const auto value = object.find(key);
    if (!value) return std::nullopt;
    if (value->as_integer() < low)
      value->fail(fmt::format("expected an integer of at least {}", low));
    return value->as_integer();
  };
  changes.limit = integer("limit", 1);
  changes.few_shot = integer("few_shot", 0);
  changes.chat = object.string("chat_template", "");
  return changes;
}

void to_json(Json& json, const TaskChanges& changes) {
  json = Json::object();
  if (changes.limit) json["limit"] = *changes.limit;
  if (changes.few_shot) json["few_shot"] = *changes.few_shot;
  if (!changes.chat.empty()) json["chat_template"] = changes.chat;
}

void from_json(const Json& json, TaskChanges& changes) {
  changes = {};
  if (json.contains("limit")) changes.limit = json.at("limit").get<int64_t>();
  if (json.contains("few_shot")) changes.few_shot = json.at("few_shot").get<int64_t>();
  changes.chat = json.value("chat_template", "");
}

MetricResult mean_of(std::string metric, std::vector<double> outcomes) {
  const double value = mean(outcomes);
  return {std::move(metric), value, std::move(outcomes)};
}

std::vector<MetricResult> Task::evaluate_answers(const TextResponses&, Split) const {
  ASSAY_CHECK(false, "the task {} has no requests", name());
}

std::vector<ItemRequests> Task::item_requests(Split) const {
  user_error("the task '{}' is not about text: there is no prompt to show", name());
}

void check_splits(const std::vector<std::shared_ptr<const Task>>& tasks, Split split) {
  std::vector<std::string> missing;
  for (const auto& task : tasks) {
    try {
      task->check_split(split);
    } catch (const DataError& e) {
      if (std::find(missing.begin(), missing.end(), e.what()) == missing.end())
        missing.emplace_back(e.what());
    }
  }
  if (!missing.empty()) throw DataError(fmt::format("{}", fmt::join(missing, "\n")));
}

Registry<TaskKind>& task_kinds() {
  static Registry<TaskKind> registry("task kind");
  return registry;
}

std::vector<std::string> task_names() { return names_of(read_suites()); }

std::vector<std::pair<std::string, Json>> task_definitions() {
  std::vector<std::pair<std::string, Json>> definitions;
  for (TaskEntry& entry : read_suites())
    definitions.emplace_back(std::move(entry.name), std::move(entry.definition));
  return definitions;
}

std::vector<std::pair<std::string, fs::path>> suite_files(const std::vector<std::string>& tasks) {
  std::vector<std::pair<std::string, fs::path>> suites;
  for (const TaskEntry& entry : read_suites()) {
    if (std::find(tasks.begin(), tasks.end(), entry.name) == tasks.end()) continue;
    const std::pair<std::string, fs::path> suite{entry.suite.stem().string(), entry.suite};
    if (std::find(suites.begin(), suites.end(), suite) == suites.end()) suites.push_back(suite);
  }
  return suites;
}

std::shared_ptr<const Task> load_task(const std::string& name, const std::string& where,
                                      const TaskChanges& changes) {
  const std::vector<TaskEntry> entries = read_suites();
  for (const TaskEntry& entry : entries)
    if (entry.name == name) return make_task(entry, changes);
  throw UserError(unknown_name("task", name, where, names_of(entries)));
}

std::vector<std::shared_ptr<const Task>> load_tasks(const std::vector<TaskPattern>& patterns,
                                                    const std::string& where) {
  const std::vector<TaskEntry> entries = read_suites();
  std::vector<const TaskChanges*> wanted(entries.size(), nullptr);
  for (const TaskPattern& named : patterns) {
    bool matched = false;
    const auto want_if = [&](const auto& matches) {
      for (size_t i = 0; i < entries.size(); ++i) {
        if (!matches(entries[i])) continue;
        matched = true;
        if (wanted[i] && *wanted[i] != named.changes)
          user_error("{}: the task '{}' is named twice, with different changes", where,
                     entries[i].name);
        wanted[i] = &named.changes;
      }
    };
    want_if([&](const TaskEntry& entry) { return matches_glob(named.pattern, entry.name); });
    // What is the name of no task may be that of a family.
    if (!matched)
      want_if([&](const TaskEntry& entry) {
        return entry.definition.value("family", Json()) == Json(named.pattern);
      });
    if (!matched) throw UserError(unknown_name("task", named.pattern, where, names_of(entries)));
  }
  std::vector<std::shared_ptr<const Task>> tasks;
  for (size_t i = 0; i < entries.size(); ++i)
    if (wanted[i]) tasks.push_back(make_task(entries[i], *wanted[i]));
  return tasks;
}

std::vector<std::shared_ptr<const Task>> load_tasks(const std::vector<std::string>& patterns,
                                                    const std::string& where,
                                                    const TaskChanges& changes) {
  std::vector<TaskPattern> changed;
  for (const std::string& pattern : patterns) changed.push_back({pattern, changes});
  return load_tasks(changed, where);
}

}  // namespace assay
