#include "harness/checkpoint/model_texts.h"

#include "harness/checkpoint/internal/gguf_families.h"
#include "harness/checkpoint/internal/gguf_tokenizer.h"
#include "harness/checkpoint/mapped_file.h"
#include "harness/core/files.h"
#include "harness/core/regular_file.h"

namespace assay {

ModelTexts::ModelTexts(const fs::path& model) : model_(model) {
  if (!is_gguf_path(model) || fs::is_directory(model)) return;
  const MappedFile file(model);
  const GgufHeader header = parse_gguf(file.bytes(), model.string());
  made_ = gguf_tokenizer_files(header, model.string());
  made_["config.json"] = gguf_config(header, file.bytes(), model.string()).dump(2) + "\n";
}

std::optional<std::string> ModelTexts::find(const std::string& name) const {
  if (!made_.empty()) {
    const auto found = made_.find(name);
    return found == made_.end() ? std::nullopt : std::optional(found->second);
  }
  const fs::path path = model_ / name;
  return file_exists(path) ? std::optional(read_file(path)) : std::nullopt;
}

bool ModelTexts::has(const std::string& name) const {
  return made_.empty() ? file_exists(model_ / name) : made_.contains(name);
}

std::string ModelTexts::where(const std::string& name) const {
  return made_.empty() ? (model_ / name).string() : model_.string() + " (as " + name + ")";
}

}  // namespace assay
