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

  /// Of the files' bytes and of the reader; files that are missing count as such.
  const std::string& hash() const { return hash_; }
  /// The definition as far as it says what the data are: where an absolute path is given, files
  /// are named by their contents and the ends of their names, by which they are read, so that a
  /// task whose files are moved is the same.
  const Json& identity() const { return identity_; }
  bool has(Split split) const { return parts_.contains(split); }
  /// Names of the splits that have files.
  std::vector<std::string> splits() const;
  /// DataError naming all that are not there, and where they come from.
  void check_files(Split split) const;
  /// Read once. DataError when a file is missing or broken, when the split has no items, or when
  /// the files have changed since hash() was made.
  std::shared_ptr<const TextItems> items(Split split) const;

 private:
  struct Part {
    std::string name, label_name;  // as the definition has them
    fs::path path, labels;         // labels: empty when items bring their own
    int64_t skip = 0, most = -1;   // -1: all
  };
  static Part read_part(JsonReader reader);
  void read_table_format(JsonReader& dataset);
  Json named_by_content(Json dataset) const;
  std::string content_hash() const;
  TextItems load(const Part& part) const;

  std::map<Split, Part> parts_;
  TableFormat format_;
  Json identity_;
  bool moves_ = false;  // some path is absolute
  std::string reader_, origin_, where_, hash_;
  mutable std::mutex mutex_;
  mutable std::map<Split, std::shared_ptr<const TextItems>> loaded_;
};

/// The files that a definition's "dataset" names, and where they lie. Of broken definitions none.
std::vector<std::pair<std::string, fs::path>> text_files(const Json& dataset);
/// Those of them that are not there.
std::vector<fs::path> missing_text_files(const Json& dataset);

}  // namespace assay
