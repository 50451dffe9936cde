/// Persistent memoization of a model's answers, so that later processes need not compute them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <c10/core/Device.h>

#include "harness/checkpoint/tensors.h"
#include "harness/core/files.h"
#include "harness/core/json.h"

namespace assay {

/// The folder of response caches: ASSAY_RESPONSES_DIR; absent when it is not set.
std::optional<fs::path> responses_folder();

/// Values by key, in memory and, when a folder is given, in a file of JSON lines [key, value,
/// note]. Several processes may append to it. Incomplete lines of killed processes are ignored.
class ResponseCache {
 public:
  /// `identity`: hash of the model and of all settings that answers depend on.
  ResponseCache(const std::string& identity, const std::optional<fs::path>& folder);

  /// nullptr when there is no such key.
  const Json* find(const std::string& key) const;
  /// `note`: the item that was answered, for readers of the file.
  void put(const std::string& key, Json value, const std::string& note);
  /// Appends the new values to the file. DataError when that fails.
  void save();

 private:
  fs::path path_;  // empty: memory only
  std::map<std::string, Json> values_;
  std::string unsaved_;
};

/// The response cache of a model, on disk in responses_folder() when that is set and the weights'
/// content hash is known. Its identity is that hash, computation_hash(), and the dtype and kinds of
/// device of the loaded weights; `device` where there are no weights.
ResponseCache response_cache_for(const std::string& weights_hash,
                                 const std::string& computation_hash, const StateDict& weights,
                                 at::Device device);

}  // namespace assay
