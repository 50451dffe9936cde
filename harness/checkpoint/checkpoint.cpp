#include "harness/checkpoint/checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "harness/checkpoint/fused_experts.h"
#include "harness/checkpoint/gguf_file.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/torch_file.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/regular_file.h"

namespace assay {
namespace {

// A checkpoint's own JSON files are data, so a broken one is a DataError.
Json read_json_data(const fs::path& path) {
  try {
    return read_json(path);
  } catch (const UserError& e) {
    throw DataError(e.what());
  }
}

/// A hint for a folder without readable weights: what it contains instead, and what to do (";
/// ..."); may be empty.
std::string weights_hint(const fs::path& folder) {
  std::map<std::string, std::string> found;  // by the end of the name
  for (const auto& entry : fs::directory_iterator(folder))
    found.emplace(entry.path().extension(), entry.path().filename());
  if (fs::exists(folder / "model_index.json"))
    return "; it is a diffusers pipeline: name the folder "
           "of one model in it, such as 'transformer' or 'unet'";
  if (fs::exists(folder / "adapter_config.json"))
    return "; it is an adapter, which needs a base model";
  if (found.contains(".safetensors"))
    return fmt::format("; name the file '{}' itself", found[".safetensors"]);
  for (const char* pickle : {".bin", ".pt", ".pth", ".ckpt"})
    if (found.contains(pickle))
      return fmt::format("; of several files of PyTorch, name one such as '{}' itself",
                         found[pickle]);
  if (found.contains(".gguf")) return fmt::format("; name the file '{}' itself", found[".gguf"]);
  return found.empty() ? "; the folder is empty" : "";
}

/// The one file of torch.save() in a folder of a published vision model ("resnet18.pth"), apart
/// from what a training run keeps besides; empty when there is none, or there are several.
fs::path only_torch_file(const fs::path& folder) {
  constexpr std::string_view kBesides[] = {"training_args", "optimizer", "scheduler",
                                           "scaler",        "rng_state", "adapter_"};
  fs::path only;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!is_torch_path(name) || std::any_of(std::begin(kBesides), std::end(kBesides),
                                            [&](auto part) { return name.starts_with(part); }))
      continue;
    if (!only.empty()) return {};
    only = entry.path();
  }
  return only;
}

fs::path open_clip_weights(const fs::path& folder) {
  for (const char* name : kOpenClipWeightsNames)
    if (file_exists(folder / name)) return folder / name;
  data_error("'{}' is not a checkpoint: it has {}, but neither {} nor {}", folder.string(),
             kOpenClipConfigName, kOpenClipWeightsNames[0], kOpenClipWeightsNames[1]);
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  return open(ModelPath(path));
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const ModelPath& model, ClipTower tower) {
  const fs::path& path = model.path;
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->path_ = path;
  if (!file_exists(path)) data_error("there is no checkpoint '{}'", path.string());

  std::vector<fs::path> file_paths;
  std::map<std::string, std::string> shard_of;
  bool open_clip = false;
  if (!fs::is_directory(path)) {
    file_paths = {path};
  } else {
    if (file_exists(path / "config.json"))
      checkpoint->config_ = read_json_data(path / "config.json");
    if (file_exists(path / "assay.json")) checkpoint->origin_ = read_json_data(path / "assay.json");
    const auto read_index = [&](const char* name) {
      shard_of = parse_safetensors_index(read_file(path / name), (path / name).string());
      std::set<std::string> seen;
      for (const auto& [tensor, shard] : shard_of)
        if (seen.insert(shard).second) file_paths.push_back(path / shard);
    };
    open_clip = !file_exists(path / "config.json") && file_exists(path / kOpenClipConfigName);
    if (open_clip) {
      const fs::path config = path / kOpenClipConfigName;
      checkpoint->config_ =
          open_clip_config(JsonReader(read_json_data(config), config.string() + ": $"), tower);
      file_paths = {open_clip_weights(path)};
    } else if (file_exists(path / kIndexName)) {
      read_index(kIndexName);
    } else if (file_exists(path / kWeightsName)) {
      file_paths = {path / kWeightsName};
    } else if (file_exists(path / kTorchIndexName)) {
      read_index(kTorchIndexName);
    } else if (file_exists(path / kTorchWeightsName)) {
      file_paths = {path / kTorchWeightsName};
    } else if (const fs::path only = only_torch_file(path); !only.empty()) {
      file_paths = {only};
    } else {
      data_error("'{}' is not a checkpoint: it has neither {} nor {}{}", path.string(),
                 kWeightsName, kIndexName, weights_hint(path));
    }
  }

  checkpoint->file_paths_ = file_paths;
  std::set<std::string> stored;
  for (const fs::path& file_path : file_paths) {
    std::shared_ptr<const TensorFile> file = checkpoint->open_file(file_path);
    if (open_clip) file = open_clip_view(std::move(file), tower, file_path.string());
    for (const TensorInfo& info : file->tensors()) {
      if (!stored.insert(info.name).second)
        data_error("{}: tensor '{}' is in two shards", path.string(), info.name);
      if (!shard_of.empty() && !shard_of.contains(info.name))
        data_error("{}: tensor '{}' is not in its folder's index", file_path.string(), info.name);
    }
    file = separate_experts(std::move(file), checkpoint->config_, file_path.string());
    for (const TensorInfo& info : file->tensors()) {
      if (!checkpoint->file_of_.emplace(info.name, checkpoint->files_.size()).second)
        data_error("{}: tensor '{}' is stored twice, alone and with other experts'", path.string(),
                   info.name);
      checkpoint->infos_.push_back(info);
    }
    checkpoint->files_.push_back(std::move(file));
  }
  for (const auto& [name, shard] : shard_of)
    if (!stored.contains(name))
      data_error("{}: tensor '{}' is missing from {}", path.string(), name, shard);
  std::sort(checkpoint->infos_.begin(), checkpoint->infos_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  if (!model.adapter.empty()) {
    checkpoint->adapter_ = std::make_unique<const Adapter>(model.adapter, checkpoint->infos_,
                                                           checkpoint->config_, path.string());
    const fs::path origin = model.adapter / "assay.json";
    checkpoint->origin_ = fs::exists(origin) ? read_json_data(origin) : Json();
  }
  return checkpoint;
}

std::shared_ptr<const TensorFile> Checkpoint::open_file(const fs::path& path) {
  if (is_torch_path(path)) return TorchFile::open(path);
  if (!is_gguf_path(path)) return SafetensorsFile::open(path);
  const auto file = GgufFile::open(path);
  config_ = file->config();
  return file;
}

std::pair<const TensorFile&, size_t> Checkpoint::locate(const std::string& name) const {
  const auto it = file_of_.find(name);
  if (it == file_of_.end()) data_error("{} has no tensor '{}'", label(), name);
  const TensorFile& file = *files_[it->second];
  const auto& infos = file.tensors();
  const auto at =
      std::lower_bound(infos.begin(), infos.end(), name,
                       [](const TensorInfo& a, const std::string& b) { return a.name < b; });
  return {file, static_cast<size_t>(at - infos.begin())};
}

at::Tensor Checkpoint::read(const std::string& name) const {
  const auto [file, index] = locate(name);
  const at::Tensor values = file.read(index);
  return adapter_ ? adapter_->apply(file.tensors()[index], 0, values) : values;
}

at::Tensor Checkpoint::read_part(const std::string& name, int64_t first, int64_t count) const {
  const auto [file, index] = locate(name);
  const at::Tensor values = file.read_part(index, first, count);
  return adapter_ ? adapter_->apply(file.tensors()[index], first, values) : values;
}

void Checkpoint::prefetch(const std::string& name, int64_t first, int64_t count) const {
  const auto [file, index] = locate(name);
  file.prefetch(index, first, count);
}

void Checkpoint::release(const std::string& name, int64_t first, int64_t count) const {
  const auto [file, index] = locate(name);
  file.release(index, first, count);
}

std::string Checkpoint::stamp() const {
  Hasher hasher;
  for (const fs::path& path : file_paths_)
    hasher.text(path.filename().string())
        .number(fs::file_size(path))
        .number(static_cast<uint64_t>(fs::last_write_time(path).time_since_epoch().count()));
  if (adapter_) hasher.text(adapter_->stamp());
  return hasher.hex();
}

std::string Checkpoint::content_hash() const {
  const std::lock_guard lock(hash_mutex_);
  if (hash_.empty()) {
    std::string hash = assay::content_hash(*this);
    check_mapped_bytes();
    hash_ = std::move(hash);
  }
  return hash_;
}

}  // namespace assay
