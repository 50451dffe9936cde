#include "harness/checkpoint/checkpoint.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kWeightsName = "model.safetensors";

// A checkpoint's own JSON files are data, so a broken one is a DataError.
Json read_json_data(const fs::path& path) {
  try {
    return read_json(path);
  } catch (const UserError& e) {
    throw DataError(e.what());
  }
}

// The shard of every tensor as the index names it: tensor name -> file name.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const Json index = read_json_data(path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    data_error("{}: no object 'weight_map'", path.string());
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    // A shard is a sibling: a path could name any file of the machine.
    if (!shard.is_string() ||
        fs::path(shard.get<std::string>()).filename() != shard.get<std::string>())
      data_error("{}: weight_map['{}'] must be a file name, found {}", path.string(), name,
                 shard.dump());
    shard_of[name] = shard.get<std::string>();
  }
  return shard_of;
}

// Swaps two folders in one step, so that there is no moment without a checkpoint.
void exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    throw fs::filesystem_error("exchange", a, b, std::error_code(errno, std::generic_category()));
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->path_ = path;
  if (!fs::exists(path)) data_error("there is no checkpoint '{}'", path.string());

  std::vector<fs::path> file_paths;
  std::map<std::string, std::string> shard_of;
  if (!fs::is_directory(path)) {
    file_paths = {path};
  } else {
    if (fs::exists(path / "config.json"))
      checkpoint->config_ = read_json_data(path / "config.json");
    if (fs::exists(path / "assay.json")) checkpoint->origin_ = read_json_data(path / "assay.json");
    if (fs::exists(path / kIndexName)) {
      shard_of = read_index(path / kIndexName);
      for (const auto& [name, shard] : shard_of)
        if (std::find(file_paths.begin(), file_paths.end(), path / shard) == file_paths.end())
          file_paths.push_back(path / shard);
    } else if (fs::exists(path / kWeightsName)) {
      file_paths = {path / kWeightsName};
    } else {
      data_error("'{}' is no checkpoint: it has neither {} nor {}", path.string(), kWeightsName,
                 kIndexName);
    }
  }

  for (const fs::path& file_path : file_paths) {
    checkpoint->files_.push_back(SafetensorsFile::open(file_path));
    for (const TensorInfo& info : checkpoint->files_.back()->tensors()) {
      if (!checkpoint->file_of_.emplace(info.name, checkpoint->files_.size() - 1).second)
        data_error("{}: tensor '{}' is in two shards", path.string(), info.name);
      if (!shard_of.empty() && !shard_of.contains(info.name))
        data_error("{}: tensor '{}' is not in {}", file_path.string(), info.name, kIndexName);
      checkpoint->infos_.push_back(info);
    }
  }
  for (const auto& [name, shard] : shard_of)
    if (!checkpoint->file_of_.contains(name))
      data_error("{}: tensor '{}' is missing from {}", path.string(), name, shard);
  std::sort(checkpoint->infos_.begin(), checkpoint->infos_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return checkpoint;
}

at::Tensor Checkpoint::read(const std::string& name) const {
  const auto it = file_of_.find(name);
  if (it == file_of_.end()) data_error("{} has no tensor '{}'", label(), name);
  const SafetensorsFile& file = *files_[it->second];
  const auto& infos = file.tensors();
  const auto at =
      std::lower_bound(infos.begin(), infos.end(), name,
                       [](const TensorInfo& a, const std::string& b) { return a.name < b; });
  return file.read(static_cast<size_t>(at - infos.begin()));
}

std::string Checkpoint::content_hash() const {
  const std::lock_guard lock(hash_mutex_);
  if (hash_.empty()) hash_ = assay::content_hash(*this);
  return hash_;
}

void write_checkpoint(const std::filesystem::path& folder, const StateDict& tensors,
                      const CheckpointExtras& extras, bool replace) {
  if (fs::exists(folder) && !replace)
    user_error("'{}' exists already; name another folder or ask for it to be replaced",
               folder.string());
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // a trailing slash
  const fs::path parent = target.parent_path();
  const fs::path temporary =
      parent / fmt::format(".{}.tmp{}", target.filename().string(), ::getpid());
  try {
    fs::create_directories(temporary);
    write_safetensors(temporary / kWeightsName, tensors);
    sync_path(temporary / kWeightsName);
    constexpr int kIndent = 2;
    if (!extras.config.is_null())
      write_file(temporary / "config.json", extras.config.dump(kIndent) + "\n");
    if (!extras.origin.is_null())
      write_file(temporary / "assay.json", extras.origin.dump(kIndent) + "\n");
    if (!extras.card.empty()) write_file(temporary / "README.md", extras.card);
    for (const fs::path& file : extras.copies)
      write_file(temporary / file.filename(), read_file(file));
    sync_path(temporary);
    if (fs::exists(target)) {
      exchange(temporary, target);
      fs::remove_all(temporary);
    } else {
      fs::rename(temporary, target);
    }
    sync_path(parent);
  } catch (const fs::filesystem_error& e) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    data_error("cannot write the checkpoint '{}': {}", folder.string(), e.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace assay
