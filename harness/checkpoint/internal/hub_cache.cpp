#include "harness/checkpoint/internal/hub_cache.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

std::optional<fs::path> folder_of_variable(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? std::optional(expand_home(value)) : std::nullopt;
}

bool is_name(const std::string& part) {
  constexpr size_t kMaxBytes = 96;
  return !part.empty() && part.size() <= kMaxBytes && part.front() != '.' && part.front() != '-' &&
         std::all_of(part.begin(), part.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) || c == '-' || c == '_' || c == '.');
         });
}

/// A branch may have slashes in its name ("refs/pr/1"), but must stay inside its folder.
bool is_revision(const std::string& text) {
  const fs::path path(text);
  return !text.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

std::vector<std::string> known_revisions(const fs::path& repository) {
  std::vector<std::string> known;
  std::error_code ignored;
  for (const char* folder : {"refs", "snapshots"})
    for (const auto& entry : fs::directory_iterator(repository / folder, ignored))
      known.push_back(entry.path().filename().string());
  std::sort(known.begin(), known.end());
  return known;
}

}  // namespace

fs::path expand_home(const fs::path& path) {
  const char* home = std::getenv("HOME");
  if (path.empty() || *path.begin() != "~" || !home || !*home) return path;
  fs::path expanded(home);
  for (auto part = std::next(path.begin()); part != path.end(); ++part) expanded /= *part;
  return expanded;
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto folder = folder_of_variable(name)) return *folder;
  if (const auto home = folder_of_variable("HF_HOME")) return *home / "hub";
  const auto cache = folder_of_variable("XDG_CACHE_HOME");
  return cache.value_or(expand_home("~/.cache")) / "huggingface" / "hub";
}

std::optional<HubName> HubName::parse(const std::string& text) {
  const size_t mark = text.find('@');
  HubName name{text.substr(0, mark), mark == std::string::npos ? "main" : text.substr(mark + 1)};
  const size_t slash = name.repository.find('/');
  const bool whole = slash == std::string::npos ? is_name(name.repository)
                                                : is_name(name.repository.substr(0, slash)) &&
                                                      is_name(name.repository.substr(slash + 1));
  if (!whole || !is_revision(name.revision)) return std::nullopt;
  return name;
}

std::optional<fs::path> find_in_hub_cache(const HubName& name) {
  std::string folder = "models--" + name.repository;
  if (const size_t slash = folder.find('/'); slash != std::string::npos)
    folder.replace(slash, 1, "--");
  const fs::path repository = fs::absolute(hub_cache() / folder);
  std::error_code ignored;
  if (!fs::is_directory(repository, ignored)) return std::nullopt;
  std::string commit = name.revision;
  if (const fs::path ref = repository / "refs" / commit; fs::is_regular_file(ref, ignored)) {
    commit = read_file(ref);
    commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
    if (!is_name(commit)) data_error("'{}' does not contain a commit", ref.string());
  }
  fs::path snapshot = repository / "snapshots" / commit;
  if (!fs::is_directory(snapshot, ignored))
    user_error("the Hugging Face cache '{}' has '{}', but no snapshot of '{}'; it knows: {}",
               hub_cache().string(), name.repository, name.revision,
               fmt::join(known_revisions(repository), ", "));
  return snapshot;
}

}  // namespace assay
