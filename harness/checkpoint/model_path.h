/// What a model is called and where it lies: folders, files, models of the Hugging Face cache, and
/// LoRA adapters on any of them.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace assay {

struct ModelPath {
  ModelPath(std::filesystem::path of_model = {}, std::filesystem::path of_adapter = {})
      : path(std::move(of_model)), adapter(std::move(of_adapter)) {}

  std::filesystem::path path;     ///< of the checkpoint's folder or lone file
  std::filesystem::path adapter;  ///< folder of the LoRA adapter that is added; empty: none
  /// Names of the Hugging Face cache and the folders that they stand for.
  std::vector<std::pair<std::string, std::string>> cached;
  std::vector<std::string> notes;  ///< what the user should know, a line each

  /// "PATH", or "PATH+ADAPTER".
  std::string text() const;
};

/// A model by its name: MODEL or MODEL+ADAPTER, where either is
///
///   * a path, as find_file() finds it from `beside`, with ~ for the home folder;
///   * or else "org/name" or "org/name@revision" in the Hugging Face cache (HF_HUB_CACHE, HF_HOME,
///     ~/.cache/huggingface/hub). Nothing is downloaded.
///
/// A path that is there goes before both "+" and the cache; of several "+" the last counts that has
/// something there on both sides. A folder that is an adapter alone stands for `base` with it; a
/// base of another name than its adapter_config.json gives is noted. Paths come back absolute.
/// UserError, saying where it was looked for and what would help, when there is no such model, or
/// when an adapter has no base.
ModelPath find_model(const std::string& name, const std::filesystem::path& beside = {},
                     const ModelPath* base = nullptr);

/// The same with an adapter named apart, where `adapter` is not empty.
ModelPath find_adapted(const std::string& model, const std::string& adapter);

}  // namespace assay
