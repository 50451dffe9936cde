/// Peak memory, watched by several overlapping spans of work.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace assay {

/// A high-water mark of the system, which any span may reset. Before a reset all watched spans are
/// updated with the mark, so that none loses its peak. Thread-safe.
class SharedPeak {
 public:
  /// `read` returns the mark since the last reset; `reset` lowers it to the current use, and
  /// returns whether it could.
  SharedPeak(std::function<std::optional<int64_t>()> read, std::function<bool()> reset)
      : read_(std::move(read)), reset_(std::move(reset)) {}

  /// Starts to watch: `peak` is kept up to date until end(). Returns the bytes in use now, at which
  /// `peak` starts; absent when the mark cannot be reset or read. `peak` is then not watched.
  std::optional<int64_t> begin(int64_t* peak);
  /// Updates all watched spans with the current mark.
  void update();
  void end(int64_t* peak);

 private:
  void update_locked();

  std::function<std::optional<int64_t>()> read_;
  std::function<bool()> reset_;
  std::mutex mutex_;
  std::vector<int64_t*> watched_;
};

/// Resident memory of this process: VmHWM of /proc/self/status, reset through
/// /proc/self/clear_refs.
SharedPeak& resident_peak();

}  // namespace assay
