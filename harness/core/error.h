/// The kinds of error and their exit codes. A message says what is wrong, where (file, tensor, JSON
/// path), what was found, what is allowed and, for names, the nearest valid one.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace assay {

/// The user asked for something impossible: a bad option, an unknown name, a wrong value.
struct UserError : std::runtime_error {
  static constexpr int kExitCode = 2;
  using std::runtime_error::runtime_error;
};

/// Data is missing, damaged or inconsistent: checkpoints, datasets, result files.
struct DataError : std::runtime_error {
  static constexpr int kExitCode = 3;
  using std::runtime_error::runtime_error;
};

/// A cell's requirements are not met. The cell is stored as `skipped` with this reason.
struct SkipCell : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename... Args>
[[noreturn]] void user_error(fmt::format_string<Args...> format, Args&&... args) {
  throw UserError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void data_error(fmt::format_string<Args...> format, Args&&... args) {
  throw DataError(fmt::format(format, std::forward<Args>(args)...));
}

/// Quotes the entry of `candidates` closest to `name`, as " Did you mean 'x'?", then lists what is
/// known. Empty when there are no candidates.
std::string suggestion(const std::string& name, const std::vector<std::string>& candidates);

/// "unknown KIND 'name' in WHERE." followed by suggestion().
std::string unknown_name(const std::string& kind, const std::string& name, const std::string& where,
                         const std::vector<std::string>& candidates);

namespace detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& message);
}  // namespace detail

}  // namespace assay

/// A bug in Assay, not in its input: prints the condition and aborts.
#define ASSAY_CHECK(condition, ...)                                 \
  do {                                                              \
    if (!(condition))                                               \
      ::assay::detail::check_failed(#condition, __FILE__, __LINE__, \
                                    ::fmt::format("" __VA_ARGS__)); \
  } while (false)
