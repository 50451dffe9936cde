/// Provenance of a run: this program's revision and compiler, this machine, the time.
#pragma once

#include <string>

namespace assay {

/// The short git revision the program was built from, "-dirty" appended when the tree had changes;
/// empty when it was not built from a repository.
std::string git_revision();
/// "GCC 12.2.0".
std::string compiler_name();
/// The processor's model name and the operating system's name, as the system reports them; empty
/// when unknown.
std::string cpu_name();
std::string os_name();
/// Now, in UTC: "2026-11-22T08:30:00Z".
std::string utc_now();

}  // namespace assay
