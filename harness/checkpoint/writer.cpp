#include "harness/checkpoint/writer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/checkpoint/own_folder.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json_text.h"

namespace assay {
namespace {

constexpr const char* kJournal = ".assay-journal.json";
constexpr const char* kOldJournal = "journal.json";  // of earlier versions
// Limits of shards that are being written and being synced: a process may have few files open.
constexpr size_t kMaxOpen = 16, kMaxSyncs = 16;

}  // namespace

CheckpointWriter::CheckpointWriter(const fs::path& folder, const std::vector<TensorInfo>& tensors,
                                   const WriteOptions& options)
    : options_(options), buffers_(std::make_shared<WriteBuffers>()) {
  plan_shards(tensors);
  bool keep_files = options_.resume;  // those of a killed writer are not to be removed
  try {
    folder_.emplace(folder, options_.replace, options_.keep);
    if (options_.resume) resume_shards();
    keep_files = !resumed_.empty();
    folder_->clear([&](const std::string& name) {
      return (name == kJournal && !resumed_.empty()) ||
             std::any_of(shards_.begin(), shards_.end(),
                         [&](const Shard& shard) { return shard.finished && shard.file == name; });
    });
    create_shards();
  } catch (const fs::filesystem_error& e) {
    if (!keep_files) discard();
    data_error("cannot write the checkpoint '{}': {}", folder.string(), e.code().message());
  } catch (const DataError&) {
    if (!keep_files) discard();
    throw;
  }
  thread_ = std::thread([this] { work(); });
}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    queue_.clear();
  }
  join();
  if (!committed_) discard();
}

void CheckpointWriter::plan_shards(const std::vector<TensorInfo>& tensors) {
  for (const TensorInfo& info : tensors) {
    if (shards_.empty() || (!shards_.back().tensors.empty() &&
                            shards_.back().data_bytes + info.bytes() > options_.shard_bytes))
      shards_.emplace_back();
    shards_.back().tensors.push_back(info);
    shards_.back().data_bytes += info.bytes();
  }
  if (shards_.empty()) shards_.emplace_back();
  for (size_t i = 0; i < shards_.size(); ++i) {
    Shard& shard = shards_[i];
    shard.file = shards_.size() == 1
                     ? kWeightsName
                     : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards_.size());
    shard.header = safetensors_header(shard.tensors);
    auto offset = static_cast<int64_t>(shard.header.size());
    for (const TensorInfo& info : shard.tensors) {
      locations_[info.name] = {i, offset, info.dtype};
      offset += info.bytes();
    }
  }
}

void CheckpointWriter::resume_shards() {
  const fs::path file = folder_->unfinished() / kJournal;
  if (!fs::exists(file)) {
    if (const fs::path old = folder_->unfinished() / kOldJournal; fs::exists(old))
      user_error(
          "--resume cannot use '{}', which an earlier "
          "version of Assay left; run without --resume to start again",
          old.string());
    return;
  }
  const Json content = read_json(file);
  JsonReader journal(content, file.string());
  if (journal.string("identity") != options_.identity)
    user_error(
        "the unfinished '{}' was written from another "
        "configuration or other inputs; run without --resume to start again",
        folder_->target().string());
  JsonReader finished = journal.at("shards");
  for (Shard& shard : shards_) {
    const auto notes = finished.find(shard.file);
    if (!notes) continue;
    shard.finished = true;
    for (const auto& [name, note] : notes->entries()) {
      shard.notes[name] = note.json();
      resumed_[name] = note.json();
    }
  }
}

void CheckpointWriter::create_shards() {
  for (Shard& shard : shards_) {
    if (shard.finished) continue;
    const auto header_bytes = static_cast<int64_t>(shard.header.size());
    shard.data = ShardFile(folder_->unfinished() / shard.file, header_bytes + shard.data_bytes);
    shard.data.write(shard.header, 0);
    shard.data.close();
  }
}

at::Tensor CheckpointWriter::buffer(const std::string& name, int64_t first, int64_t count) {
  const Location& location = locations_.at(name);
  return buffers_->acquire(location.dtype, count, location.offset_of(first));
}

void CheckpointWriter::write(const std::string& name, int64_t first, const at::Tensor& values) {
  const Location& location = locations_.at(name);
  push({location.shard, location.offset_of(first), values});
}

void CheckpointWriter::finish_tensor(const std::string& name, const Json& note) {
  const size_t index = locations_.at(name).shard;
  Shard& shard = shards_[index];
  bool complete = false;
  {
    const std::lock_guard lock(mutex_);
    shard.notes[name] = note;
    complete = shard.notes.size() == shard.tensors.size();
  }
  if (complete) push({index, 0, {}});
}

void CheckpointWriter::push(WriteRequest request) {
  const int64_t bytes =
      request.values.defined() ? static_cast<int64_t>(request.values.nbytes()) : 0;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return failure_ || queue_.empty() || queued_bytes_ + bytes <= options_.queue_bytes;
  });
  if (failure_) std::rethrow_exception(failure_);
  queued_bytes_ += bytes;
  queue_.push_back(std::move(request));
  changed_.notify_all();
}

void CheckpointWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
    if (queue_.empty() || failure_) return;
    const WriteRequest request = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      perform(request);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (request.values.defined()) queued_bytes_ -= static_cast<int64_t>(request.values.nbytes());
    if (failure) failure_ = failure;
    changed_.notify_all();
  }
}

void CheckpointWriter::perform(const WriteRequest& request) {
  if (request.values.defined()) {
    count_open(request.shard);
    shards_[request.shard].data.write(static_cast<const char*>(request.values.const_data_ptr()),
                                      static_cast<int64_t>(request.values.nbytes()),
                                      request.offset);
    return;
  }
  std::erase(open_, request.shard);  // from here on only the sync thread uses it
  if (syncs_.size() == kMaxSyncs) {
    syncs_.front().join();
    syncs_.pop_front();
  }
  syncs_.emplace_back([this, index = request.shard] { finish_shard(index); });
}

void CheckpointWriter::count_open(size_t index) {
  if (!open_.empty() && open_.back() == index) return;
  if (std::erase(open_, index) == 0 && open_.size() == kMaxOpen) {
    shards_[open_.front()].data.close();
    open_.pop_front();
  }
  open_.push_back(index);
}

void CheckpointWriter::finish_shard(size_t index) {
  try {
    Shard& shard = shards_[index];
    shard.data.sync();
    shard.data = ShardFile();
    const std::lock_guard lock(journal_mutex_);
    shard.finished = true;
    if (options_.identity.empty() || shards_.size() == 1) return;
    Json journal = {{"identity", options_.identity}, {"shards", Json::object()}};
    for (const Shard& each : shards_)
      if (each.finished) journal["shards"][each.file] = each.notes;
    write_file(folder_->unfinished() / kJournal, journal.dump());
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void CheckpointWriter::join() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  for (std::thread& sync : syncs_) sync.join();
  syncs_.clear();
}

void CheckpointWriter::finish(const CheckpointExtras& extras) {
  join();
  if (failure_) std::rethrow_exception(failure_);
  for (const Shard& shard : shards_)
    ASSAY_CHECK(shard.finished || shard.tensors.empty(), "{} is not complete", shard.file);
  try {
    write_extras(extras);
    fs::remove(folder_->unfinished() / kJournal);
    folder_->complete();
    sync_path(folder_->unfinished());
    folder_->commit();
    committed_ = true;
  } catch (const fs::filesystem_error& e) {
    data_error("cannot write the checkpoint '{}': {}", folder_->target().string(),
               e.code().message());
  }
}

void CheckpointWriter::write_extras(const CheckpointExtras& extras) {
  constexpr int kIndent = 2;
  const fs::path& folder = folder_->unfinished();
  if (shards_.size() > 1) {
    int64_t bytes = 0;
    Json weight_map = Json::object();
    for (const Shard& shard : shards_) {
      bytes += shard.data_bytes;
      for (const TensorInfo& info : shard.tensors) weight_map[info.name] = shard.file;
    }
    const Json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", weight_map}};
    write_file(folder / kIndexName, index.dump(kIndent) + "\n");
  }
  if (!extras.config.is_null())
    write_file(folder / "config.json", json_text(extras.config, kIndent) + "\n");
  if (!extras.card.empty()) write_file(folder / "README.md", extras.card);
  for (const auto& [name, text] : extras.texts) write_file(folder / name, text);
  for (const auto& [name, file] : extras.copies) {
    copy_regular_file(file, folder / name);
    sync_path((folder / name).parent_path());
  }
  Json origin = extras.origin.is_null() ? Json{{"assay", 1}} : extras.origin;
  origin["files"] = written_files(folder, {kJournal, OutputFolder::kMarker});
  write_file(folder / "assay.json", json_text(origin, kIndent) + "\n");
}

void CheckpointWriter::discard() noexcept {
  // Closed first: some file systems keep open files.
  for (Shard& shard : shards_) shard.data = ShardFile();
  if (folder_) folder_->remove();
}

void write_checkpoint(const fs::path& folder, const StateDict& tensors,
                      const CheckpointExtras& extras, bool replace) {
  CheckpointWriter writer(folder, tensor_infos(tensors), {.replace = replace, .identity = ""});
  for (const auto& [name, tensor] : tensors) {
    writer.write(name, 0, tensor.cpu().contiguous().flatten());
    writer.finish_tensor(name);
  }
  writer.finish(extras);
}

}  // namespace assay
