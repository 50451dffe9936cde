/// The Hugging Face cache of downloaded models. Only reads it; never uses the network.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace assay {

/// HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub, as huggingface_hub resolves it.
std::filesystem::path hub_cache();

/// "~" and "~/x" with the home folder (HOME) in place of "~"; other paths as they are.
std::filesystem::path expand_home(const std::filesystem::path& path);

/// "org/name", "name", each with or without "@revision".
struct HubName {
  std::string repository, revision;
  /// Absent when the text is not a valid name.
  static std::optional<HubName> parse(const std::string& text);
};

/// The snapshot's folder; a revision is a branch, a tag or a commit, "main" without one. Absent
/// when the cache lacks the repository. UserError, naming the revisions it has, when it lacks this
/// one.
std::optional<std::filesystem::path> find_in_hub_cache(const HubName& name);

}  // namespace assay
