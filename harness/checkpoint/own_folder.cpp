#include "harness/checkpoint/own_folder.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "harness/checkpoint/safetensors.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"

namespace assay {
namespace {

// Files, next to shards, of versions that wrote no list.
constexpr const char* kUnlisted[] = {"README.md",
                                     "added_tokens.json",
                                     "assay.json",
                                     "chat_template.jinja",
                                     "config.json",
                                     "generation_config.json",
                                     "merges.txt",
                                     kWeightsName,
                                     kIndexName,
                                     "special_tokens_map.json",
                                     "tokenizer.json",
                                     "tokenizer.model",
                                     "tokenizer_config.json",
                                     "vocab.json"};

// model-00001-of-00002.safetensors; numbers of six digits are longer.
bool is_shard_name(std::string_view name) {
  constexpr std::string_view kBegin = "model-", kMiddle = "-of-", kEnd = ".safetensors";
  const auto take = [&](std::string_view part) {
    if (!name.starts_with(part)) return false;
    name.remove_prefix(part.size());
    return true;
  };
  const auto take_digits = [&] {
    const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    name.remove_prefix(digits);
    return digits >= 5;
  };
  return take(kBegin) && take_digits() && take(kMiddle) && take_digits() && name == kEnd;
}

bool written_unlisted(const std::string& name) {
  return std::find(std::begin(kUnlisted), std::end(kUnlisted), name) != std::end(kUnlisted) ||
         is_shard_name(name);
}

// The content of assay.json when Assay wrote it.
std::optional<Json> own_origin(const fs::path& folder) {
  const fs::path file = folder / "assay.json";
  if (!fs::is_regular_file(fs::symlink_status(file))) return std::nullopt;
  Json origin = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!origin.is_object() || origin.value("assay", Json()) != Json(1)) return std::nullopt;
  return origin;
}

std::string relative_name(const fs::path& path, const fs::path& folder) {
  return utf8_text(path.lexically_relative(folder).native());
}

}  // namespace

Json written_files(const fs::path& folder, const std::set<std::string>& except) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (std::string name = relative_name(entry.path(), folder);
        !entry.is_directory() && !except.contains(name))
      names.insert(std::move(name));
  return names;
}

std::optional<std::string> foreign_content(const fs::path& folder) {
  if (fs::is_empty(folder)) return std::nullopt;
  const std::optional<Json> origin = own_origin(folder);
  if (!origin) return "it has no assay.json that Assay wrote";
  std::set<std::string> files{"assay.json"}, folders;
  const bool listed = origin->contains("files") && origin->at("files").is_array();
  if (listed)
    for (const Json& name : origin->at("files")) {
      if (!name.is_string()) return "its assay.json is damaged";
      files.insert(name.get<std::string>());
      for (fs::path above = fs::path(name.get<std::string>()).parent_path(); !above.empty();
           above = above.parent_path())
        if (!folders.insert(above.string()).second) break;
    }
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = relative_name(entry.path(), folder);
    const fs::file_status status = entry.symlink_status();
    const bool own = fs::is_directory(status) ? folders.contains(name)
                     : fs::is_regular_file(status)
                         ? files.contains(name) || (!listed && written_unlisted(name))
                         : false;
    if (!own) return fmt::format("it contains '{}', which Assay did not write", name);
  }
  return std::nullopt;
}

void check_output_folder(const fs::path& target, bool replace, const std::vector<fs::path>& keep) {
  const fs::file_status status = fs::symlink_status(target);
  if (!fs::exists(status)) return;
  const std::string name = target.string();
  if (!replace)
    user_error(
        "'{}' exists already; name another folder, "
        "or replace it if Assay wrote it (--replace)",
        name);
  const auto refuse = [&](const std::string& why) {
    user_error("'{}' is not replaced: {}; name another folder", name, why);
  };
  if (!fs::is_directory(status)) refuse("it is not a folder");
  std::error_code gone;
  if (is_within(fs::current_path(gone), target)) refuse("it contains the current folder");
  for (const fs::path& path : keep)
    if (const fs::path real = fs::canonical(path, gone); !gone && is_within(real, target))
      refuse(fmt::format("it contains '{}', which is an input", path.string()));
  if (is_mount_point(target)) refuse("it is a mount point");
  try {
    if (const auto foreign = foreign_content(target)) refuse(*foreign);
  } catch (const fs::filesystem_error& error) {
    refuse(error.code().message());
  }
}

}  // namespace assay
