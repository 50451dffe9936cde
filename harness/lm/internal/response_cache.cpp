#include "harness/lm/internal/response_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

// Increment it when the same model would give other answers: cached answers are then not reused.
constexpr uint64_t kAnswersVersion = 1;

}  // namespace

std::optional<fs::path> responses_folder() {
  const char* folder = std::getenv("ASSAY_RESPONSES_DIR");
  return folder && *folder ? std::optional<fs::path>(folder) : std::nullopt;
}

ResponseCache::ResponseCache(const std::string& identity, const std::optional<fs::path>& folder) {
  if (!folder) return;
  std::error_code failed;
  fs::create_directories(*folder, failed);
  if (failed) data_error("{}: cannot make the folder: {}", folder->string(), failed.message());
  path_ = *folder / (identity + ".jsonl");
  if (!fs::exists(path_)) return;
  std::istringstream lines(read_file(path_));
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line, nullptr, false);
    if (entry.is_array() && entry.size() == 3 && entry[0].is_string())
      values_[entry[0].get<std::string>()] = entry[1];
  }
}

const Json* ResponseCache::find(const std::string& key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

void ResponseCache::put(const std::string& key, Json value, const std::string& note) {
  if (!path_.empty())
    unsaved_ +=
        Json::array({key, value, note}).dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  values_[key] = std::move(value);
}

void ResponseCache::save() {
  if (unsaved_.empty()) return;
  // The leading line break ends an incomplete line of another process.
  const std::string text = '\n' + unsaved_;
  const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const ssize_t written = file < 0 ? -1 : ::write(file, text.data(), text.size());
  const int error = errno;
  if (file >= 0) ::close(file);
  if (written < 0) data_error("{}: cannot write: {}", path_.string(), std::strerror(error));
  if (static_cast<size_t>(written) != text.size())
    data_error("{}: the disk is full", path_.string());
  unsaved_.clear();
}

ResponseCache response_cache_for(const std::string& weights_hash,
                                 const std::string& computation_hash, const StateDict& weights,
                                 at::Device device) {
  if (weights_hash.empty()) return {"", std::nullopt};
  Hasher hasher;
  hasher.number(kAnswersVersion).text(ASSAY_LIBTORCH_VERSION);
  hasher.text(weights_hash).text(computation_hash);
  // The dtype of computation may differ from the stored dtype.
  if (!weights.empty()) hasher.text(dtype_name(weights.begin()->second.scalar_type()));
  const bool on_both = std::any_of(weights.begin(), weights.end(), [&](const auto& entry) {
    return entry.second.is_cpu() != device.is_cpu();
  });
  hasher.text(on_both ? "cpu and accelerator" : device.is_cpu() ? "cpu" : "accelerator");
  return {hasher.hex(), responses_folder()};
}

}  // namespace assay
