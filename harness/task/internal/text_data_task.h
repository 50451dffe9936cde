/// What all kinds of task over text data have in common, whatever model they ask.
#pragma once

#include <memory>

#include "harness/task/task.h"
#include "harness/task/text_data.h"

namespace assay {

/// The keys of a definition that all of them take. See docs/adding-a-task.md.
struct TextBasics {
  /// Takes its keys from the reader and leaves the others. `known`: the metrics that the kind can
  /// give; `usual`: those it gives when the definition names none, the primary one first.
  TextBasics(JsonReader& reader, const std::vector<std::string>& known,
             const std::vector<std::string>& usual);

  TextData data;
  std::vector<std::string> metrics;  ///< to report, the primary one first
  int64_t limit = -1;                ///< score the first so many items; -1: all
};

class TextDataTask : public Task {
 public:
  std::string primary_metric() const final { return basics_->metrics.front(); }
  void check_split(Split split) const override;
  bool is_about_text() const final { return true; }
  /// UserError: text tasks are not trained on.
  Examples examples(Split split) const final;
  /// 0 when the definition names no file for the split.
  int64_t size(Split split) const final;

 protected:
  /// `rule`: the kind's name and the version of its rule, "multiple_choice 2".
  TextDataTask(std::string name, const Json& json, std::shared_ptr<const TextBasics> basics,
               const std::string& rule);

  /// Those that are scored.
  std::shared_ptr<const TextItems> items(Split split) const;
  bool reports(const std::string& metric) const;
  /// Keeps the metrics that are wanted, in the order in which the definition names them.
  std::vector<MetricResult> chosen(std::vector<MetricResult> all) const;

 private:
  std::shared_ptr<const TextBasics> basics_;
};

}  // namespace assay
