#include "results/internal/database.h"

#include <sqlite3.h>

#include "harness/core/log.h"
#include "results/internal/open_store.h"

namespace assay {
namespace embedded {
extern const unsigned char schema_sql[];
}

namespace {

int newest_version() { return 1 + static_cast<int>(migrations().size()); }

// Detects damage before anything is written to the file.
void check_integrity(SQLite::Database& database, const std::filesystem::path& path) {
  std::string found;
  try {
    found = database.execAndGet("PRAGMA quick_check(1)").getString();
  } catch (const SQLite::Exception& e) {
    // A lock, lack of memory or a failing disk does not mean that the store is damaged.
    constexpr int kPrimary = 0xff;
    const int code = e.getErrorCode() & kPrimary;
    if (code != SQLITE_CORRUPT && code != SQLITE_NOTADB) throw;
    found = e.what();
  }
  if (found != "ok")
    data_error(
        "results store '{}' is damaged ({}); nothing was "
        "written. 'assay db verify' says what is damaged",
        path.string(), found);
}

}  // namespace

void migrate(SQLite::Database& database, std::span<const Migration> steps) {
  const int newest = 1 + static_cast<int>(steps.size());
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  // Read under the lock: another process may have been faster.
  const int version = database.execAndGet("PRAGMA user_version").getInt();
  for (int from = version; from < newest; ++from) {
    const Migration& step = steps[static_cast<size_t>(from - 1)];
    log_info("results store: schema {} to {}: {}", from, from + 1, step.what);
    database.exec(std::string(step.sql));
  }
  if (version < newest) database.exec(fmt::format("PRAGMA user_version = {}", newest));
  transaction.commit();
}

Database::Database(std::filesystem::path path, OpenMode mode) : path_(std::move(path)) {
  guarded("cannot open it", [&] {
    database_ = mode == OpenMode::kReadOnly ? open_for_reading(path_) : open_for_writing(path_);
    database_->exec("PRAGMA foreign_keys = ON");
    check_schema(mode);
  });
}

int Database::pragma(const char* name) {
  return database_->execAndGet(fmt::format("PRAGMA {}", name)).getInt();
}

void Database::check_schema(OpenMode mode) {
  const bool empty = database_->execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (pragma("application_id") != kApplicationId && !(empty && mode == OpenMode::kReadWrite))
    data_error("'{}' is not an Assay results store", path_.string());

  if (mode == OpenMode::kReadWrite) {
    check_integrity(*database_, path_);
    enable_write_ahead_log(*database_, path_);
    // In WAL mode a killed process loses nothing; only a power failure can lose the last
    // transactions.
    database_->exec("PRAGMA synchronous = NORMAL");
    create_schema();
  }
  const int version = pragma("user_version");
  if (version > newest_version())
    data_error(
        "results store '{}' has schema version {}, made by "
        "a newer Assay; this program knows versions up to {}",
        path_.string(), version, newest_version());
  if (version < 1)
    data_error("results store '{}' has schema version {}, which no Assay has written",
               path_.string(), version);
  if (version < newest_version() && mode == OpenMode::kReadWrite) migrate(*database_, migrations());
}

// Also checks that the file is writable: SQLite opens a write-protected one without an error.
void Database::create_schema() {
  SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
  // Checked again under the lock: another process may have been faster.
  if (database_->execAndGet("SELECT count(*) FROM sqlite_master").getInt() != 0) return;
  database_->exec(reinterpret_cast<const char*>(embedded::schema_sql));
  database_->exec(fmt::format("PRAGMA application_id = {}", kApplicationId));
  database_->exec(fmt::format("PRAGMA user_version = {}", newest_version()));
  transaction.commit();
}

SQLite::Statement& Database::prepare(const std::string& sql) {
  auto it = statements_.find(sql);
  if (it == statements_.end())
    it = statements_.emplace(sql, SQLite::Statement(*database_, sql)).first;
  it->second.tryReset();  // reset() would rethrow the last execution's error
  it->second.clearBindings();
  return it->second;
}

}  // namespace assay
