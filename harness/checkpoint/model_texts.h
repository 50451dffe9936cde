/// The text files of a model: those of its folder, or those that a GGUF file's metadata stand for.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace assay {

class ModelTexts {
 public:
  /// A folder, or a GGUF file, whose metadata become config.json, tokenizer.json,
  /// tokenizer_config.json and, if need be, generation_config.json. DataError when they cannot.
  explicit ModelTexts(const std::filesystem::path& model);

  /// The file's content; absent when there is none. DataError when it cannot be read.
  std::optional<std::string> find(const std::string& name) const;
  bool has(const std::string& name) const;
  /// Names a file in messages: its path, or "FILE.gguf (as NAME)".
  std::string where(const std::string& name) const;
  /// Those made from a GGUF file; empty for a folder.
  const std::map<std::string, std::string>& made() const { return made_; }

 private:
  std::filesystem::path model_;
  std::map<std::string, std::string> made_;
};

}  // namespace assay
