/// Models that Hugging Face's programs have downloaded. Reads their cache; never the network.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace assay {

/// HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub, as huggingface_hub has it.
std::filesystem::path hub_cache();

/// "~" and "~/x" with the home folder (HOME) in place of "~"; other paths as they are.
std::filesystem::path expand_home(const std::filesystem::path& path);

/// "org/name", "name", each with or without "@revision".
struct HubName {
  std::string repository, revision;
  /// Absent when the text cannot be one.
  static std::optional<HubName> parse(const std::string& text);
};

/// The snapshot's folder; a revision is a branch, a tag or a commit, "main" without one. Absent
/// when the cache has nothing of the repository; UserError, naming those there are, when it has
/// others than this revision.
std::optional<std::filesystem::path> find_in_hub_cache(const HubName& name);

}  // namespace assay
