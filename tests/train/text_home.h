/// A folder with text tasks and recipes for small language models.
#pragma once

#include <filesystem>
#include <string>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

namespace assay::test {

/// During its lifetime the tasks "notes/a" and "notes/b" (texts: counting up, and counting down)
/// and "notes/sums" (prompts with answers) exist, each with all splits.
class TextHome {
 public:
  TextHome() : variable_("ASSAY_TASKS_DIR", folder_.path().string()) {
    std::string up, down, sums;
    for (int i = 0; i < 8; ++i) {
      const std::string tail = std::string(static_cast<size_t>(i), '.');
      up += Json{{"text", "0123456789abcdefghij" + tail}}.dump() + "\n";
      down += Json{{"text", "jihgfedcba9876543210" + tail}}.dump() + "\n";
      sums += Json{{"q", fmt::format("{} + {} =", i, i + 1)},
                   {"c", {fmt::format("{}", 2 * i + 1), "none"}},
                   {"label", 0}}
                  .dump() +
              "\n";
    }
    const auto data = [&](const std::string& name, const std::string& content) {
      const std::string path = (folder_.path() / name).string();
      write_file(path, content);
      return Json{{"files", {{"train", path}, {"validation", path}, {"test", path}}}};
    };
    const Json suite = {{"summary", "notes"},
                        {"kind", "perplexity"},
                        {"tasks",
                         {{{"name", "a"}, {"dataset", data("up.jsonl", up)}},
                          {{"name", "b"}, {"dataset", data("down.jsonl", down)}}}}};
    write_file(folder_.path() / "notes.json", suite.dump());
    const Json questions = {{"summary", "sums"},
                            {"kind", "multiple_choice"},
                            {"tasks",
                             {{{"name", "of-two"},
                               {"dataset", data("sums.jsonl", sums)},
                               {"prompt", "{{q}}"},
                               {"choices", "{{c}}"}}}}};
    write_file(folder_.path() / "sums.json", questions.dump());
  }

  const fs::path& folder() const { return folder_.path(); }
  fs::path models() const { return folder_.path() / "models"; }
  fs::path write_recipe(const Json& recipe) const {
    fs::create_directories(folder_.path() / "recipes");  // beside the suites
    write_file(folder_.path() / "recipes" / "recipe.json", recipe.dump());
    return folder_.path() / "recipes" / "recipe.json";
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable variable_;
};

inline Json tiny_llama() {
  return Json::parse(R"({"model_type": "llama", "vocab_size": 257, "hidden_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "max_position_embeddings": 64,
    "tie_word_embeddings": true, "bos_token_id": 256, "eos_token_id": 256})");
}

/// base (a and b), expert-a, adapter-a (both from base) and multitask (from base).
inline Json text_recipe() {
  Json recipe = Json::parse(R"({
    "name": "notes",
    "tokenizer": "tokenizers/bytes",
    "defaults": {
      "base": {"init": "random", "steps": 20, "batch": 4, "learning_rate": 0.01},
      "expert": {"init": "base", "steps": 30, "batch": 4, "learning_rate": 0.01, "warmup": 5,
                 "clip_norm": 1}
    },
    "checkpoints": {
      "base": {"role": "base", "mixture": [{"task": "notes/a", "examples": 2}, "notes/b"]},
      "expert-a": {"role": "expert", "mixture": ["notes/a"]},
      "adapter-a": {"role": "expert", "mixture": ["notes/a"],
                    "adapter": {"rank": 2, "alpha": 8, "targets": ["q_proj", "down_proj"]}},
      "multitask": {"role": "multitask", "init": "base", "mixture": ["notes/a", "notes/b"],
                    "steps": 60, "batch": 4, "learning_rate": 0.01}
    }
  })");
  recipe["architecture"] = tiny_llama();
  recipe["tokenizer"] = (home_folder() / "recipes/tokenizers/bytes").string();
  return recipe;
}

}  // namespace assay::test
