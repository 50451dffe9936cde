/// Model names and their paths: folders, files, models of the Hugging Face cache, and LoRA adapters
/// on any of them.
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
  /// Names of the Hugging Face cache and the folders that they resolve to.
  std::vector<std::pair<std::string, std::string>> cached;
  std::vector<std::string> notes;  ///< notes for the user, one line each

  /// "PATH", or "PATH+ADAPTER".
  std::string text() const;
};

/// A model by its name: MODEL or MODEL+ADAPTER, where either is
///
///   * a path, as find_file() finds it with `folder` as its base, with ~ for the home folder;
///   * or else "org/name" or "org/name@revision" in the Hugging Face cache (HF_HUB_CACHE, HF_HOME,
///     ~/.cache/huggingface/hub). Nothing is downloaded.
///
/// An existing path takes precedence over both "+" and the cache. Of several "+", the last one with
/// existing names on both sides is used. A lone adapter folder means `base` with that adapter; a
/// note is made when its adapter_config.json names another base. Returned paths are absolute.
/// UserError, naming the places searched and a remedy, when there is no such model, or when an
/// adapter has no base.
ModelPath find_model(const std::string& name, const std::filesystem::path& folder = {},
                     const ModelPath* base = nullptr);

/// The same with the adapter given separately, where `adapter` is not empty.
ModelPath find_adapted(const std::string& model, const std::string& adapter);

}  // namespace assay
