#include "results/internal/open_store.h"

#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "harness/core/error.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

fs::path wal_path(const fs::path& path) { return path.string() + "-wal"; }

bool has_wal(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(wal_path(path), error);
  return !error && size > 0;
}

std::string immutable_uri(const fs::path& path) {
  std::string uri = "file:";
  for (const char c : fs::absolute(path).string())
    uri += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<unsigned char>(c))
                                            : std::string(1, c);
  return uri + "?immutable=1";
}

/// A temporary folder, removed with its content at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "assay-store-XXXXXX").string();
    if (!::mkdtemp(name.data())) data_error("cannot create a temporary folder '{}'", name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// An open file can still be read after it is unlinked.
std::unique_ptr<SQLite::Database> open_copy(const fs::path& path) {
  const ScratchFolder scratch;
  const fs::path copy = scratch.path() / "store.sqlite";
  fs::copy_file(path, copy);
  fs::copy_file(wal_path(path), wal_path(copy));
  fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add);
  fs::permissions(wal_path(copy), fs::perms::owner_write, fs::perm_options::add);
  auto database = std::make_unique<SQLite::Database>(copy.string(), SQLite::OPEN_READWRITE);
  database->exec("PRAGMA locking_mode = EXCLUSIVE");  // needs no further files next to it
  database->exec("PRAGMA journal_mode = DELETE");     // checkpoints the log
  database->exec("PRAGMA query_only = ON");
  database->execAndGet("SELECT count(*) FROM sqlite_master");
  return database;
}

bool cannot_be_written(const SQLite::Exception& e) {
  return e.getErrorCode() == SQLITE_CANTOPEN || e.getErrorCode() == SQLITE_READONLY;
}

}  // namespace

std::unique_ptr<SQLite::Database> open_for_reading(const fs::path& path) {
  if (!fs::is_regular_file(path))
    data_error("results store '{}': there is no such file", path.string());
  try {
    auto database =
        std::make_unique<SQLite::Database>(path.string(), SQLite::OPEN_READONLY, kBusyTimeoutMs);
    database->execAndGet("SELECT count(*) FROM sqlite_master");  // also opens the log
    return database;
  } catch (const SQLite::Exception& e) {
    if (!cannot_be_written(e) || ::access(path.c_str(), R_OK) != 0) throw;
  }
  if (has_wal(path)) return open_copy(path);
  return std::make_unique<SQLite::Database>(immutable_uri(path),
                                            SQLite::OPEN_READONLY | SQLite::OPEN_URI);
}

std::unique_ptr<SQLite::Database> open_for_writing(const fs::path& path) {
  if (path.has_parent_path()) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error)
      data_error("results store '{}': cannot create its folder: {}", path.string(),
                 error.message());
  }
  return std::make_unique<SQLite::Database>(
      path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyTimeoutMs);
}

void enable_write_ahead_log(SQLite::Database& database, const fs::path& path) {
  // SQLite's busy timeout does not apply here where two processes could deadlock.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyTimeoutMs);
  for (;;) try {
      const std::string mode = database.execAndGet("PRAGMA journal_mode = WAL").getString();
      if (mode == "wal") return;
      data_error(
          "results store '{}': this file system does not support a write-ahead log "
          "(SQLite offers '{}')",
          path.string(), mode);
    } catch (const SQLite::Exception& e) {
      if (e.getErrorCode() != SQLITE_BUSY || std::chrono::steady_clock::now() > until) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

}  // namespace assay
