/// Opening the store's file, and its schema. Only results/ includes this.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "harness/core/error.h"

namespace assay {

/// 'ASAY': PRAGMA application_id of every store.
inline constexpr int kApplicationId = 0x41534159;

/// SQL that turns a store of version N into one of version N + 1.
struct Migration {
  std::string_view what;  ///< for the log
  std::string_view sql;
};

/// The steps from version 1 on: steps[0] leads from 1 to 2. The newest version is 1 + their number.
std::span<const Migration> migrations();

/// Applies the missing steps to the store, atomically in one transaction.
void migrate(SQLite::Database& database, std::span<const Migration> steps);

enum class OpenMode { kReadWrite, kReadOnly };

/// An open store. Its schema is the newest, or an older one when opened for reading only.
/// Statements are prepared once.
class Database {
 public:
  /// DataError as described at Store::open.
  Database(std::filesystem::path path, OpenMode mode);

  /// The prepared statement of this text, reset and without bindings. Valid until the next call
  /// with the same text.
  SQLite::Statement& prepare(const std::string& sql);
  /// prepare() with the values bound in order; an absent optional is NULL.
  template <typename... Values>
  SQLite::Statement& query(const std::string& sql, const Values&... values) {
    SQLite::Statement& statement = prepare(sql);
    int index = 0;
    (bind_value(statement, ++index, values), ...);
    return statement;
  }
  /// Executes query(), for statements without result rows.
  template <typename... Values>
  void execute(const std::string& sql, const Values&... values) {
    query(sql, values...).exec();
  }
  SQLite::Database& handle() { return *database_; }
  /// Of the schema; the newest unless the store is open for reading only.
  int version() { return pragma("user_version"); }
  /// Runs `work` and converts SQLite's exceptions to a DataError that names the file and the
  /// action.
  template <typename Work>
  auto guarded(const std::string& action, Work&& work) -> decltype(work()) {
    try {
      return work();
    } catch (const SQLite::Exception& e) {
      data_error("results store '{}': {}: {}", path_.string(), action, e.what());
    }
  }
  /// The same in a transaction of its own.
  template <typename Work>
  auto transaction(const std::string& action, Work&& work) -> decltype(work()) {
    return guarded(action, [&] {
      SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        transaction.commit();
      } else {
        auto result = work();
        transaction.commit();
        return result;
      }
    });
  }
  /// The first column of the first row, an id; absent when there is no row.
  template <typename... Values>
  std::optional<int64_t> find_id(const std::string& sql, const Values&... values) {
    SQLite::Statement& row = query(sql, values...);
    std::optional<int64_t> id;
    if (row.executeStep()) id = row.getColumn(0).getInt64();
    row.reset();  // an open cursor would delay the log's checkpoints
    return id;
  }

 private:
  template <typename Value>
  static void bind_value(SQLite::Statement& statement, int index, const Value& value) {
    statement.bind(index, value);
  }
  template <typename Value>
  static void bind_value(SQLite::Statement& statement, int index,
                         const std::optional<Value>& value) {
    if (value) statement.bind(index, *value);
  }

  void check_schema(OpenMode mode);
  void create_schema();
  int pragma(const char* name);

  std::filesystem::path path_;
  std::unique_ptr<SQLite::Database> database_;
  std::map<std::string, SQLite::Statement, std::less<>> statements_;
};

}  // namespace assay
