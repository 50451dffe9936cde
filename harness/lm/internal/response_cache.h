/// Answers that a model has given, kept in a file so that no later program asks again.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <c10/core/Device.h>

#include "harness/checkpoint/tensors.h"
#include "harness/core/files.h"
#include "harness/core/json.h"

namespace assay {

/// Where answers are kept: ASSAY_RESPONSES_DIR; absent when it is not set.
std::optional<fs::path> responses_folder();

/// Values by key, in memory and, when a folder is given, in a file of JSON lines [key, value,
/// note]. Several processes may add to it. Lines that a killed process left unfinished are passed
/// over.
class ResponseCache {
 public:
  /// `identity`: of the model and of all settings that answers depend on.
  ResponseCache(const std::string& identity, const std::optional<fs::path>& folder);

  /// nullptr when it is not known.
  const Json* find(const std::string& key) const;
  /// `note`: what it is the answer to, for people and scripts that read the file.
  void put(const std::string& key, Json value, const std::string& note);
  /// Writes what was put since. DataError when it cannot.
  void save();

 private:
  fs::path path_;  // empty: memory only
  std::map<std::string, Json> values_;
  std::string unsaved_;
};

/// A model's answers, kept under responses_folder() when that is set and the weights' content hash
/// is known. They are told apart by that hash, by what computation_hash() covers, and by the
/// precision and the kinds of device that the weights are held in and on; by `device` where there
/// are none.
ResponseCache kept_answers(const std::string& weights_hash, const std::string& computation_hash,
                           const StateDict& weights, at::Device device);

}  // namespace assay
