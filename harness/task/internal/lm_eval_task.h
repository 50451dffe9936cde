/// One task of lm-evaluation-harness: its YAML, and as a definition of Assay.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/core/yaml.h"

namespace assay {

/// A file with what it includes; its own keys take precedence.
class LmEvalConfig {
 public:
  /// UserError naming file and line; DataError when a file is missing.
  static LmEvalConfig read(const std::filesystem::path& file);

  const std::string& where() const { return where_; }
  const YamlNode* find(const std::string& key) const;
  const YamlNode& at(const std::string& key) const;
  struct Entry {
    YamlNode value;
    std::string file;
  };
  const std::vector<std::pair<std::string, Entry>>& entries() const { return entries_; }
  /// UserError "FILE:LINE: 'key': ...".
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

 private:
  void include(const std::filesystem::path& file, int depth);

  std::string where_;
  std::vector<std::pair<std::string, Entry>> entries_;
};

struct LmEvalTask {
  std::string kind;
  Json definition;  ///< an entry of a suite's "tasks"
  std::vector<std::string> notes;
};

/// Adds a task's metrics and what they do with an answer before they compare it: `metric_list` and
/// `filter_list`. UserError naming the line of what cannot be imported.
void import_lm_eval_metrics(const LmEvalConfig& config, LmEvalTask& task);

/// UserError naming the line of what cannot be imported.
LmEvalTask convert_lm_eval(const LmEvalConfig& config);

}  // namespace assay
