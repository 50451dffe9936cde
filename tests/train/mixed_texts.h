/// Tasks whose texts are of mixed lengths.
#pragma once

#include <string>

#include "tests/train/text_home.h"

namespace assay::test {

/// A TextHome with three tasks more, each with all splits: "mixed/texts" (2, 8, 2 and 8 bytes),
/// "mixed-questions/all" (prompts of 3, 11, 3 and 11 bytes, answers of 2, 9, 9 and 2) and
/// "mixed-classes/all" (texts of 4, 5, 20 and 4 bytes, in two classes).
class MixedHome : public TextHome {
 public:
  MixedHome() {
    write("mixed", R"({"kind": "perplexity", "tasks": [{"name": "texts"}]})",
          R"({"text": "ab"}
             {"text": "cdefghij"}
             {"text": "kl"}
             {"text": "mnopqrst"})");
    write("mixed-questions", R"({"kind": "multiple_choice", "tasks": [
              {"name": "all", "prompt": "{{q}}", "choices": "{{c}}"}]})",
          R"({"q": "1 +", "c": ["2", "no"], "label": 0}
             {"q": "one and two", "c": ["12345678", "no"], "label": 0}
             {"q": "3 +", "c": ["87654321", "no"], "label": 0}
             {"q": "two and one", "c": ["4", "no"], "label": 0})");
    write("mixed-classes", R"({"kind": "sequence_classification", "tasks": [
              {"name": "all", "text": "{{text}}", "classes": 2}]})",
          R"({"text": "abcd", "label": 0}
             {"text": "efghi", "label": 1}
             {"text": "jklmnopqrstuvwxyzabc", "label": 0}
             {"text": "defg", "label": 1})");
  }

 private:
  /// A suite of one task whose data are these lines of JSON.
  void write(const std::string& name, const std::string& suite, const std::string& items) const {
    const std::string path = (folder() / (name + ".jsonl")).string();
    write_file(path, items + "\n");
    Json json = Json::parse(suite);
    json["summary"] = name;
    json["tasks"][0]["dataset"] = {
        {"files", {{"train", path}, {"validation", path}, {"test", path}}}};
    write_file(folder() / (name + ".json"), json.dump());
  }
};

}  // namespace assay::test
