/// Base of the task kinds that evaluate encoders on texts.
#pragma once

#include <optional>

#include "harness/lm/encoder_predictor.h"
#include "harness/task/text_data_task.h"
#include "harness/task/text_template.h"

namespace assay {

/// The keys of a definition that these kinds share. See docs/adding-a-task.md.
struct EncoderDefinition : TextDataDefinition {
  /// Reads its keys and leaves the others to the kind; see TextDataDefinition.
  EncoderDefinition(JsonReader& reader, const std::vector<std::string>& known,
                    const std::vector<std::string>& default_metrics);

  TextTemplate first;
  std::optional<TextTemplate> second;
};

class EncoderTask : public TextDataTask {
 public:
  /// UserError when the predictor is not an encoder.
  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const final;
  std::vector<ItemRequests> item_requests(Split split) const final;

 protected:
  /// `rule`: the kind's name and the version of its rule, "sequence_classification 2".
  EncoderTask(std::string name, const Json& json,
              std::shared_ptr<const EncoderDefinition> definition, const std::string& rule);

  /// An item's label or gold score, as in its data.
  virtual std::string gold(const TextItem& item) const = 0;
  /// The index of its class; absent where the kind does not classify.
  virtual std::optional<int64_t> gold_class(const TextItem&) const { return std::nullopt; }
  /// All metrics of the kind. `texts` are those of the items, in order.
  virtual std::vector<MetricResult> score(const EncoderPredictor& encoder, const TextItems& items,
                                          const std::vector<EncoderText>& texts) const = 0;

 private:
  std::shared_ptr<const EncoderDefinition> definition_;
};

}  // namespace assay
