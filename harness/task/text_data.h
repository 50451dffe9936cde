/// The data of a text task: local files, one or a part of one per split.
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
  /// A definition's "dataset": see docs/adding-a-task.md. UserError when its format is wrong.
  /// Hashes the files without parsing them.
  explicit TextData(JsonReader dataset);

  /// Hash of the files' bytes and of the reader; a missing file has its own value.
  const std::string& hash() const { return hash_; }
  /// The part of the definition that determines the data. With an absolute path, content hash and
  /// extension replace the files' names, so that moved files do not change the task.
  const Json& identity() const { return identity_; }
  bool has(Split split) const { return parts_.contains(split); }
  /// Names of the splits that have files.
  std::vector<std::string> splits() const;
  /// DataError naming all missing files and their origin.
  void check_files(Split split) const;
  /// Memoized. DataError when a file is missing or broken, when the split has no items, or when
  /// the files have changed since hash() was computed.
  std::shared_ptr<const TextItems> items(Split split) const;

 private:
  struct Part {
    std::string name, label_name;      // as in the definition
    fs::path path, labels;             // labels: empty when the items contain them
    int64_t skip = 0, max_items = -1;  // -1: all
  };
  static Part read_part(JsonReader reader);
  void read_table_format(JsonReader& dataset);
  Json identified_by_content(Json dataset) const;
  std::string content_hash() const;
  TextItems load(const Part& part) const;

  std::map<Split, Part> parts_;
  TableFormat format_;
  Json identity_;
  bool has_absolute_path_ = false;  // of any file
  std::string reader_, origin_, where_, hash_;
  mutable std::mutex mutex_;
  mutable std::map<Split, std::shared_ptr<const TextItems>> loaded_;
};

/// The files that a definition's "dataset" names, and their paths. None for invalid definitions.
std::vector<std::pair<std::string, fs::path>> text_files(const Json& dataset);
/// Those of them that are missing.
std::vector<fs::path> missing_text_files(const Json& dataset);

}  // namespace assay
