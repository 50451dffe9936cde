/// Base of all task kinds over text data, for every kind of model.
#pragma once

#include <memory>

#include "harness/task/task.h"
#include "harness/task/text_data.h"

namespace assay {

/// The keys of a definition that they all share. See docs/adding-a-task.md.
struct TextDataDefinition {
  /// Reads its keys and leaves the others. `known`: the kind's metrics; `default_metrics`: those
  /// reported when the definition names none, the primary one first.
  TextDataDefinition(JsonReader& reader, const std::vector<std::string>& known,
                     const std::vector<std::string>& default_metrics);

  TextData data;
  std::vector<std::string> metrics;  ///< reported, the primary one first
  int64_t limit = -1;                ///< score only the first n items; -1: all
};

class TextDataTask : public Task {
 public:
  std::string primary_metric() const final { return data_definition_->metrics.front(); }
  void check_split(Split split) const override;
  bool is_about_text() const final { return true; }
  /// UserError: item_requests() has the examples of text.
  Examples examples(Split split) const final;
  /// 0 when the definition names no file for the split.
  int64_t size(Split split) const final;

 protected:
  /// `rule`: the kind's name and the version of its rule, "multiple_choice 2".
  TextDataTask(std::string name, const Json& json,
               std::shared_ptr<const TextDataDefinition> definition, const std::string& rule);

  /// The items that are scored.
  std::shared_ptr<const TextItems> items(Split split) const;
  bool reports(const std::string& metric) const;
  /// Selects the definition's metrics, in its order.
  std::vector<MetricResult> select_metrics(std::vector<MetricResult> all) const;

 private:
  std::shared_ptr<const TextDataDefinition> data_definition_;
};

}  // namespace assay
