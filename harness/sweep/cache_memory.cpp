#include "harness/sweep/cache_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace assay {
namespace {

constexpr int64_t kLargest = (int64_t{4} << 30) + (int64_t{256} << 20);

// "max" and a missing file are no limit.
int64_t control_group_limit() {
  std::ifstream in("/sys/fs/cgroup/memory.max");
  int64_t bytes = 0;
  return in >> bytes && bytes > 0 ? bytes : std::numeric_limits<int64_t>::max();
}

}  // namespace

int64_t default_cache_memory() {
  const int64_t machine = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  return std::min(std::min(machine, control_group_limit()) / 8, kLargest);
}

}  // namespace assay
