/// The state of a Store, for the files that implement it. Only results/ includes this.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "results/internal/database.h"
#include "results/store.h"

namespace assay {

/// SQL for the current time in UTC.
inline constexpr const char* kNow = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// The versions of tasks that this process stored. Another process may store others meanwhile.
using TaskIds = std::map<std::string, int64_t>;

/// The id of the task's version that scores refer to. DataError when the task is not stored.
int64_t current_task(Database& database, const TaskIds& own, const std::string& name);

struct Store::Impl {
  Impl(const std::filesystem::path& path, OpenMode mode) : database(path, mode) {}
  Database database;
  TaskIds own_tasks;
};

}  // namespace assay
