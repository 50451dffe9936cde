#include "harness/sweep/internal/task_patterns.h"

#include "harness/train/outside_model.h"

namespace assay {
namespace {

TaskPattern read_task_pattern(JsonReader reader) {
  if (reader.is_string()) return {reader.as_string()};
  TaskPattern task{reader.string("task")};
  task.changes = read_task_changes(reader);
  reader.finish();
  return task;
}

}  // namespace

std::vector<TaskPattern> read_task_patterns(const JsonReader& list) {
  std::vector<TaskPattern> tasks;
  for (const JsonReader& element : list.elements()) tasks.push_back(read_task_pattern(element));
  return tasks;
}

std::vector<TaskPattern> with_found_chats(std::vector<TaskPattern> tasks,
                                          const std::filesystem::path& folder) {
  for (TaskPattern& task : tasks)
    if (!task.changes.chat.empty())
      task.changes.chat = find_outside_model(task.changes.chat, folder).path.string();
  return tasks;
}

}  // namespace assay
