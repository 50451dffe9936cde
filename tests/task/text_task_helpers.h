/// Text tasks over files written for a test, and a language model to score on them.
#pragma once

#include "harness/lm/language_predictor.h"
#include "harness/task/task.h"
#include "tests/core/temporary_folder.h"
#include "tests/lm/fake_language_model.h"

namespace assay {

class TextFolder {
 public:
  /// Writes a file of JSON lines and returns its path.
  std::string lines(const std::string& name, const std::vector<Json>& items) const {
    std::string content;
    for (const Json& item : items) content += item.dump() + "\n";
    write_file(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }
  std::string path() const { return folder_.path().string(); }

 private:
  TemporaryFolder folder_;
};

inline std::shared_ptr<const Task> make_text_task(const std::string& kind, const Json& definition) {
  return task_kinds().at(kind, "the test")("suite/mine", JsonReader(definition, "$.tasks[0]"));
}

inline std::vector<MetricResult> evaluate(const Task& task, int64_t max_positions = 512) {
  return task.evaluate(LanguagePredictor(fake_model(max_positions)), Split::kTest);
}

}  // namespace assay
