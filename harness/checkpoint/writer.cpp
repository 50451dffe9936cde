#include "harness/checkpoint/writer.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "harness/checkpoint/safetensors.h"
#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kJournal = "journal.json";

// Swaps two folders in one step, so that there is no moment without a checkpoint.
void exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    throw fs::filesystem_error("exchange", a, b, std::error_code(errno, std::generic_category()));
}

}  // namespace

CheckpointWriter::CheckpointWriter(const fs::path& folder, const std::vector<TensorInfo>& tensors,
                                   const WriteOptions& options)
    : options_(options), rooms_(std::make_shared<WriteRooms>()) {
  if (fs::exists(folder) && !options.replace)
    user_error("'{}' exists already; name another folder or ask for it to be replaced",
               folder.string());
  target_ = fs::absolute(folder).lexically_normal();
  if (!target_.has_filename()) target_ = target_.parent_path();  // a trailing slash
  const std::string suffix =
      options.identity.empty() ? fmt::format("tmp{}", ::getpid()) : std::string("unfinished");
  temporary_ = target_.parent_path() / fmt::format(".{}.{}", target_.filename().string(), suffix);
  plan_shards(tensors);
  try {
    prepare_folder();
    open_shards();
  } catch (const fs::filesystem_error& e) {
    discard();
    data_error("cannot write the checkpoint '{}': {}", folder.string(), e.code().message());
  } catch (const DataError&) {
    discard();
    throw;
  } catch (...) {  // what is there is of others: it stays
    if (lock_ >= 0) ::close(lock_);
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
  if (!named_) discard();
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
      places_[info.name] = {i, offset, info.dtype};
      offset += info.bytes();
    }
  }
}

void CheckpointWriter::prepare_folder() {
  fs::create_directories(temporary_);
  lock_ = ::open((temporary_ / kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    data_error("cannot write '{}': {}", (temporary_ / kLock).string(), std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    lock_ = -1;
    user_error("another process is writing '{}'", target_.string());
  }
  if (options_.resume) take_up();
  for (const auto& entry : fs::directory_iterator(temporary_)) {
    const std::string name = entry.path().filename().string();
    const bool kept = std::any_of(shards_.begin(), shards_.end(), [&](const Shard& shard) {
      return shard.finished && shard.file == name;
    });
    if (!kept && name != kLock && !(name == kJournal && !taken_up_.empty()))
      fs::remove_all(entry.path());
  }
}

void CheckpointWriter::take_up() {
  if (!fs::exists(temporary_ / kJournal)) return;
  const Json content = read_json(temporary_ / kJournal);
  JsonReader journal(content, (temporary_ / kJournal).string());
  if (journal.string("identity") != options_.identity)
    user_error(
        "what is left of an unfinished '{}' was made from another configuration or other inputs; "
        "do not resume to start anew",
        target_.string());
  JsonReader finished = journal.at("shards");
  for (Shard& shard : shards_) {
    const auto notes = finished.find(shard.file);
    if (!notes) continue;
    shard.finished = true;
    for (const auto& [name, note] : notes->entries()) {
      shard.notes[name] = note.json();
      taken_up_[name] = note.json();
    }
  }
}

void CheckpointWriter::open_shards() {
  for (Shard& shard : shards_) {
    if (shard.finished) continue;
    const auto header_bytes = static_cast<int64_t>(shard.header.size());
    shard.data = ShardFile(temporary_ / shard.file, header_bytes + shard.data_bytes);
    shard.data.write(shard.header, 0);
  }
}

at::Tensor CheckpointWriter::room(const std::string& name, int64_t first, int64_t count) {
  const Place& place = places_.at(name);
  return rooms_->take(place.dtype, count, place.offset_of(first));
}

void CheckpointWriter::write(const std::string& name, int64_t first, const at::Tensor& values) {
  const Place& place = places_.at(name);
  push({place.shard, place.offset_of(first), values});
}

void CheckpointWriter::end(const std::string& name, const Json& note) {
  const size_t index = places_.at(name).shard;
  Shard& shard = shards_[index];
  bool complete = false;
  {
    const std::lock_guard lock(mutex_);
    shard.notes[name] = note;
    complete = shard.notes.size() == shard.tensors.size();
  }
  if (complete) push({index, 0, {}});
}

void CheckpointWriter::push(Piece piece) {
  const int64_t bytes = piece.values.defined() ? static_cast<int64_t>(piece.values.nbytes()) : 0;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return failure_ || queue_.empty() || queued_bytes_ + bytes <= options_.queue_bytes;
  });
  if (failure_) std::rethrow_exception(failure_);
  queued_bytes_ += bytes;
  queue_.push_back(std::move(piece));
  changed_.notify_all();
}

void CheckpointWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
    if (queue_.empty() || failure_) return;
    const Piece piece = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (piece.values.defined())
        shards_[piece.shard].data.write(static_cast<const char*>(piece.values.const_data_ptr()),
                                        static_cast<int64_t>(piece.values.nbytes()), piece.offset);
      else
        syncs_.emplace_back([this, index = piece.shard] { finish_shard(index); });
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (piece.values.defined()) queued_bytes_ -= static_cast<int64_t>(piece.values.nbytes());
    if (failure) failure_ = failure;
    changed_.notify_all();
  }
}

void CheckpointWriter::finish_shard(size_t index) {
  try {
    Shard& shard = shards_[index];
    shard.data.sync();
    shard.data = ShardFile();  // all of it is written: a model may have more shards than a process
                               // may open files
    const std::lock_guard lock(journal_mutex_);
    shard.finished = true;
    if (options_.identity.empty() || shards_.size() == 1) return;
    Json journal = {{"identity", options_.identity}, {"shards", Json::object()}};
    for (const Shard& each : shards_)
      if (each.finished) journal["shards"][each.file] = each.notes;
    write_file(temporary_ / kJournal, journal.dump());
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
    ASSAY_CHECK(shard.finished || shard.tensors.empty(), "{} is not whole", shard.file);
  try {
    write_extras(extras);
    fs::remove(temporary_ / kJournal);
    fs::remove(temporary_ / kLock);
    sync_path(temporary_);
    if (fs::exists(target_)) {
      exchange(temporary_, target_);
      fs::remove_all(temporary_);
    } else {
      fs::rename(temporary_, target_);
    }
    named_ = true;
    sync_path(target_.parent_path());
  } catch (const fs::filesystem_error& e) {
    data_error("cannot write the checkpoint '{}': {}", target_.string(), e.code().message());
  }
  ::close(lock_);
}

void CheckpointWriter::write_extras(const CheckpointExtras& extras) {
  constexpr int kIndent = 2;
  if (shards_.size() > 1) {
    int64_t bytes = 0;
    Json weight_map = Json::object();
    for (const Shard& shard : shards_) {
      bytes += shard.data_bytes;
      for (const TensorInfo& info : shard.tensors) weight_map[info.name] = shard.file;
    }
    const Json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", weight_map}};
    write_file(temporary_ / kIndexName, index.dump(kIndent) + "\n");
  }
  if (!extras.config.is_null())
    write_file(temporary_ / "config.json", extras.config.dump(kIndent) + "\n");
  if (!extras.origin.is_null())
    write_file(temporary_ / "assay.json", extras.origin.dump(kIndent) + "\n");
  if (!extras.card.empty()) write_file(temporary_ / "README.md", extras.card);
  for (const auto& [name, file] : extras.copies) {
    write_file(temporary_ / name, read_file(file));
    sync_path((temporary_ / name).parent_path());
  }
}

void CheckpointWriter::discard() noexcept {
  for (Shard& shard : shards_) shard.data = ShardFile();  // closed: some disks keep open files
  std::error_code ignored;
  if (lock_ >= 0) fs::remove_all(temporary_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

void write_checkpoint(const fs::path& folder, const StateDict& tensors,
                      const CheckpointExtras& extras, bool replace) {
  CheckpointWriter writer(folder, tensor_infos(tensors), {.replace = replace, .identity = ""});
  for (const auto& [name, tensor] : tensors) {
    writer.write(name, 0, tensor.cpu().contiguous().flatten());
    writer.end(name);
  }
  writer.finish(extras);
}

}  // namespace assay
