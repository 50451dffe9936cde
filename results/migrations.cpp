#include "results/internal/database.h"

namespace assay {

// Version 1 is the first. A step, once released, never changes; schema.sql always shows the newest
// version. A store that is only read is not changed: the reading code supports older versions too.
std::span<const Migration> migrations() {
  static constexpr Migration kSteps[] = {
      {"costs get the peaks of memory that are the phase's own",
       "ALTER TABLE costs ADD COLUMN own_peak_rss_bytes INTEGER CHECK (own_peak_rss_bytes >= 0);"
       "ALTER TABLE costs ADD COLUMN own_peak_device_bytes INTEGER "
       "CHECK (own_peak_device_bytes >= 0)"}};
  return kSteps;
}

}  // namespace assay
