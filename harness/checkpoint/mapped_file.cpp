#include "harness/checkpoint/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "harness/core/error.h"
#include "harness/core/regular_file.h"

namespace assay {

/// One mapping. Ranges are never freed, only reused, because the signal handler may read any of
/// them.
struct MappedRange {
  std::atomic<char*> begin = nullptr;
  std::atomic<size_t> size = 0;
  std::atomic<bool> lost = false;  ///< some of its bytes became unreadable
  std::atomic<MappedRange*> next = nullptr;
  // Not read by the handler.
  bool used = false;
  uint64_t number = 0;  ///< greater than those of earlier mappings
  std::filesystem::path path;
  struct stat stamp {};
};

namespace {

std::atomic<MappedRange*> first_range = nullptr;
std::atomic<uintptr_t> page_bytes = 0;
struct sigaction previous_action {};
std::mutex ranges_mutex;
std::filesystem::path lost_file;  // of a mapping that was unmapped

// SIGBUS handler: maps zeros from the missing page to the end of the mapping, so that a truncated
// file needs few mappings. Values read afterwards are discarded.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  auto* const address = static_cast<char*>(info->si_addr);
  const int error = errno;
  for (MappedRange* range = first_range; range; range = range->next) {
    char* const begin = range->begin;
    char* const end = begin + range->size;
    if (!begin || address < begin || address >= end) continue;
    char* const page = address - reinterpret_cast<uintptr_t>(address) % page_bytes;
    void* const zeros = ::mmap(page, static_cast<size_t>(end - page), PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) break;
    range->lost = true;
    errno = error;
    return;
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction)
    return previous_action.sa_sigaction(signal, info, context);
  ::sigaction(signal, &previous_action, nullptr);  // the access is retried and reaches that action
}

void install_handler() {
  page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGBUS, &action, &previous_action);
}

/// An unused range, or a new one. With ranges_mutex held.
MappedRange* acquire_range() {
  for (MappedRange* range = first_range; range; range = range->next)
    if (!range->used) return range;
  auto* range = new MappedRange;
  range->next = first_range.load();
  first_range = range;
  return range;
}

bool same(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_ino == b.st_ino && a.st_dev == b.st_dev &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

using Models = std::vector<std::filesystem::path>;

bool is_of(const std::filesystem::path& file, const Models& models) {
  return models.empty() ||
         std::any_of(models.begin(), models.end(), [&](const std::filesystem::path& model) {
           return file == model || file.parent_path() == model;
         });
}

/// Whether the same file was mapped once more, later. With ranges_mutex held.
bool has_newer(const MappedRange& range) {
  for (const MappedRange* other = first_range; other; other = other->next)
    if (other->used && other->number > range.number && other->path == range.path) return true;
  return false;
}

/// With ranges_mutex held.
void check_bytes(const Models& models) {
  const std::filesystem::path* lost =
      lost_file.empty() || !is_of(lost_file, models) ? nullptr : &lost_file;
  for (const MappedRange* range = first_range; range; range = range->next)
    if (range->used && range->lost && is_of(range->path, models)) lost = &range->path;
  if (lost) data_error("'{}' was truncated while it was read, or its disk failed", lost->string());
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const RegularFile file(path);
  const auto size = static_cast<size_t>(file.status().st_size);
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
    if (data == MAP_FAILED) data_error("cannot map '{}': {}", path.string(), std::strerror(errno));
  }
  const std::lock_guard lock(ranges_mutex);
  [[maybe_unused]] static const bool installed = (install_handler(), true);
  // The loss was reported to the earlier mapping's owner; this one maps the file as it is now.
  if (lost_file == path) lost_file.clear();
  range_ = acquire_range();
  range_->used = true;
  static uint64_t mapped = 0;
  range_->number = ++mapped;
  range_->path = path;
  range_->stamp = file.status();
  range_->lost = false;
  range_->size = size;
  range_->begin = static_cast<char*>(data);  // last: the handler reads ranges whose `begin` is set
}

MappedFile::~MappedFile() {
  const std::lock_guard lock(ranges_mutex);
  char* const data = range_->begin.exchange(nullptr);
  if (range_->lost) lost_file = range_->path;
  if (data) ::munmap(data, range_->size);
  range_->used = false;
}

std::string_view MappedFile::bytes() const { return {range_->begin, range_->size}; }

void check_mapped_bytes() {
  const std::lock_guard lock(ranges_mutex);
  check_bytes({});
}

void check_mapped_files(const Models& models) {
  const std::lock_guard lock(ranges_mutex);
  check_bytes(models);
  for (const MappedRange* range = first_range; range; range = range->next) {
    if (!range->used || !is_of(range->path, models)) continue;
    struct stat now {};
    if (::stat(range->path.c_str(), &now) != 0)
      data_error("'{}' was removed while it was read: {}", range->path.string(),
                 std::strerror(errno));
    if (!same(now, range->stamp) && (models.empty() || !has_newer(*range)))
      data_error("'{}' changed while it was read: {} bytes, {} before", range->path.string(),
                 now.st_size, range->stamp.st_size);
  }
}

}  // namespace assay
