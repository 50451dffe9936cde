/// Writes a checkpoint folder atomically, tensor by tensor and part by part, on a thread of its own
/// while the next parts are computed.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "harness/checkpoint/internal/shard_file.h"
#include "harness/checkpoint/output_folder.h"
#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

/// The files of a checkpoint folder next to its weights.
struct CheckpointExtras {
  Json config;       ///< config.json; none when null
  Json origin;       ///< assay.json, which also lists the files written
  std::string card;  ///< README.md; none when empty
  /// Files to copy, by their new names: relative paths, whose sub-folders are created.
  std::map<std::filesystem::path, std::filesystem::path> copies;
  std::map<std::string, std::string> texts{};  ///< more files, by name
};

struct WriteOptions {
  /// Data bytes of a shard; a larger tensor has a shard of its own. One shard: model.safetensors.
  int64_t shard_bytes = int64_t{5} << 30;
  /// Replace a folder that Assay wrote (check_output_folder()), once the new one is complete; else
  /// UserError.
  bool replace = false;
  /// Identifies the content. A writer of the same folder and identity can resume: it reuses the
  /// finished shards of one that was killed. Empty: never.
  std::string identity;
  bool resume = false;
  int64_t queue_bytes = int64_t{128} << 20;   ///< the most that waits to be written
  std::vector<std::filesystem::path> keep{};  ///< folders that contain one are not replaced
};

/// Files are written to a hidden sibling of the folder, which finish() syncs and renames. A writer
/// that is destroyed before that removes it; one that is killed leaves it to the next writer of the
/// folder. Few shards are open at a time. The next call throws a disk error as DataError.
class CheckpointWriter {
 public:
  /// `tensors`: all that will be written. UserError when the folder exists and may not be replaced,
  /// when another process writes it, or when what is to be resumed has another identity; DataError
  /// when the files cannot be created.
  CheckpointWriter(const std::filesystem::path& folder, const std::vector<TensorInfo>& tensors,
                   const WriteOptions& options);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// The note of finish_tensor() for every tensor resumed from a killed writer.
  const std::map<std::string, Json>& resumed_notes() const { return resumed_; }

  // Thread-safe from here on, each thread with tensors of its own.

  /// A reusable buffer: uninitialised, on the CPU, in the tensor's dtype, for elements
  /// [first, first + count) of a flattened tensor. Values may be written from other memory too,
  /// more slowly.
  at::Tensor buffer(const std::string& name, int64_t first, int64_t count);
  /// Queues elements [first, first + count) of a flattened tensor, contiguous on the CPU in its
  /// dtype; waits while the queue is full. The values must not change afterwards.
  void write(const std::string& name, int64_t first, const at::Tensor& values);
  /// All elements of the tensor were written. `note` is kept with its shard until the folder is
  /// finished.
  void finish_tensor(const std::string& name, const Json& note = nullptr);
  /// Waits for all writes, writes the remaining files and renames the folder. Once, when all
  /// threads are done.
  void finish(const CheckpointExtras& extras);

 private:
  struct Shard {
    std::string file, header;
    std::vector<TensorInfo> tensors;
    std::map<std::string, Json> notes;  ///< of the tensors that are complete
    int64_t data_bytes = 0;
    ShardFile data;
    bool finished = false;
  };
  struct Location {
    size_t shard;
    int64_t offset;  ///< in the file
    at::ScalarType dtype;
    int64_t offset_of(int64_t element) const {
      return offset + element * static_cast<int64_t>(c10::elementSize(dtype));
    }
  };
  struct WriteRequest {
    size_t shard;
    int64_t offset;
    at::Tensor values;  ///< undefined: the shard is complete
  };

  void plan_shards(const std::vector<TensorInfo>& tensors);
  void resume_shards();
  void create_shards();
  void push(WriteRequest request);
  void work();
  void perform(const WriteRequest& request);
  void count_open(size_t index);
  void finish_shard(size_t index);
  void join();
  void write_extras(const CheckpointExtras& extras);
  void discard() noexcept;

  WriteOptions options_;
  std::optional<OutputFolder> folder_;
  std::vector<Shard> shards_;
  std::map<std::string, Location> locations_;
  std::map<std::string, Json> resumed_;
  std::shared_ptr<WriteBuffers> buffers_;
  bool committed_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WriteRequest> queue_;
  int64_t queued_bytes_ = 0;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::mutex journal_mutex_;
  std::deque<size_t> open_;        ///< shards that are written to, the latest last
  std::deque<std::thread> syncs_;  ///< of finished shards
  std::thread thread_;
};

/// Writes all of it at once.
void write_checkpoint(const std::filesystem::path& folder, const StateDict& tensors,
                      const CheckpointExtras& extras, bool replace);

}  // namespace assay
