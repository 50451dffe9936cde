// Classification of a text, or of a pair of texts, by an encoder's head.
#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/core/ascii.h"
#include "harness/core/error.h"
#include "harness/task/encoder_task.h"
#include "tasks/agreement.h"

namespace assay {
namespace {

const std::vector<std::string> kSequenceClassificationMetrics{"acc", "macro_f1", "matthews"};
const std::vector<std::string> kSequenceClassificationDefaults{"acc", "macro_f1"};

struct LabelDefinition {
  std::string field;
  std::vector<std::string> names;  // a label's index is its class; without names: the ids as text
  bool named = false;
};

class SequenceClassification : public EncoderTask {
 public:
  SequenceClassification(const std::string& name, const Json& json,
                         std::shared_ptr<const EncoderDefinition> shared, LabelDefinition labels)
      : EncoderTask(name, json, std::move(shared), "sequence_classification 2"),
        labels_(std::move(labels)) {}

 protected:
  std::string gold(const TextItem& item) const override { return field_text(item, labels_.field); }
  std::optional<int64_t> gold_class(const TextItem& item) const override { return class_of(item); }

  std::vector<MetricResult> score(const EncoderPredictor& encoder, const TextItems& items,
                                  const std::vector<EncoderText>& texts) const override {
    check_head(encoder);
    Classified classified;
    for (const TextItem& item : items) classified.labels.push_back(class_of(item));
    const at::Tensor scores = encoder.classify(texts);
    const float* row = scores.const_data_ptr<float>();
    for (size_t i = 0; i < texts.size(); ++i, row += scores.size(1)) {
      const float* end = row + scores.size(1);
      if (!std::all_of(row, end, [](float value) { return std::isfinite(value); }))
        data_error("{}: a score of the model is not finite", texts[i].where);
      classified.predictions.push_back(std::max_element(row, end) - row);  // ties go to the first
    }
    std::vector<double> correct;
    for (size_t i = 0; i < texts.size(); ++i)
      correct.push_back(classified.labels[i] == classified.predictions[i] ? 1 : 0);
    return {mean_of("acc", std::move(correct)), macro_f1("macro_f1", classified),
            matthews("matthews", classified)};
  }

 private:
  int64_t class_of(const TextItem& item) const {
    const std::string label = field_text(item, labels_.field);
    const auto it = std::find(labels_.names.begin(), labels_.names.end(), label);
    if (it != labels_.names.end()) return it - labels_.names.begin();
    if (labels_.named) throw DataError(unknown_name("label", label, item.where, labels_.names));
    data_error("{}: the label '{}' is not in 0..{}", item.where, label, labels_.names.size() - 1);
  }

  void check_head(const EncoderPredictor& encoder) const {
    if (encoder.classes() == 0)
      user_error("the task '{}' needs a classification head; this model is {}, without one", name(),
                 encoder.what());
    if (encoder.classes() != static_cast<int64_t>(labels_.names.size()))
      user_error("the task '{}' has {} labels ({}), but this model has {} classes", name(),
                 labels_.names.size(), fmt::join(labels_.names, ", "), encoder.classes());
    // Entirely different names ("LABEL_0") tell nothing about the order.
    std::vector<std::string> label_names = labels_.names, model_names = encoder.class_names();
    for (auto* names : {&label_names, &model_names})
      for (std::string& name : *names) name = ascii_lower(std::move(name));
    if (labels_.named && label_names != model_names &&
        std::multiset(label_names.begin(), label_names.end()) ==
            std::multiset(model_names.begin(), model_names.end()))
      user_error("the task '{}' has the labels {}, but the model's classes are {}, in this order",
                 name(), fmt::join(labels_.names, ", "), fmt::join(encoder.class_names(), ", "));
  }

  LabelDefinition labels_;
};

LabelDefinition read_labels(JsonReader& reader) {
  LabelDefinition labels{reader.string("label", "label"), {}};
  const auto names = reader.find("labels"), classes = reader.find("classes");
  if (names.has_value() == classes.has_value())
    reader.fail("expected either 'labels', a list of names, or 'classes', the number of ids");
  if (names) {
    labels.named = true;
    labels.names = names->as_strings();
    if (std::set(labels.names.begin(), labels.names.end()).size() != labels.names.size())
      names->fail("a label occurs twice");
    if (labels.names.size() < 2) names->fail("expected at least 2 labels");
  } else {
    const int64_t count = classes->as_integer();
    constexpr int64_t kMaxClasses = 1'000'000;
    if (count < 2 || count > kMaxClasses) classes->fail("expected at least 2 classes");
    for (int64_t id = 0; id < count; ++id) labels.names.push_back(std::to_string(id));
  }
  return labels;
}

std::shared_ptr<const Task> make_sequence_classification(const std::string& name,
                                                         JsonReader reader) {
  auto shared = std::make_shared<EncoderDefinition>(reader, kSequenceClassificationMetrics,
                                                    kSequenceClassificationDefaults);
  LabelDefinition labels = read_labels(reader);
  reader.finish();
  return std::make_shared<SequenceClassification>(name, reader.json(), std::move(shared),
                                                  std::move(labels));
}

ASSAY_TASK_KIND("sequence_classification", make_sequence_classification)

}  // namespace
}  // namespace assay
