/// The data of a text task: local files, one or a part of one for every split.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "harness/task/dataset.h"
#include "harness/task/text_file.h"

namespace assay {

using TextItems = std::vector<TextItem>;

class TextData {
 public:
  /// A definition's "dataset": see docs/adding-a-task.md. UserError when it breaks the format.
  /// Files are only looked at.
  explicit TextData(JsonReader dataset);

  /// Of the definition and of the files' bytes; files that are missing count as such.
  const std::string& hash() const { return hash_; }
  bool has(Split split) const { return parts_.contains(split); }
  /// Names of the splits that have files.
  std::vector<std::string> splits() const;
  /// DataError, saying where they come from, when files of the split are not there.
  void check_files(Split split) const;
  /// Read once. DataError when a file is missing or broken, when the split has no items, or when
  /// the files have changed since hash() was made.
  std::shared_ptr<const TextItems> items(Split split) const;

 private:
  struct Part {
    fs::path path, labels;        // labels: empty when items bring their own
    int64_t skip = 0, most = -1;  // -1: all
  };
  static Part read_part(JsonReader reader);
  std::string missing_text(const fs::path& path) const;
  std::string content_hash() const;
  TextItems load(const Part& part) const;

  std::map<Split, Part> parts_;
  std::string reader_, origin_, where_, hash_;
  mutable std::mutex mutex_;
  mutable std::map<Split, std::shared_ptr<const TextItems>> loaded_;
};

}  // namespace assay
