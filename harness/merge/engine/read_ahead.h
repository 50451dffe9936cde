/// Prefetches input tensors, so that reads from the disk overlap with the merge.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// Reads ahead of passes over tensors in a known order: hints to the sources (will_need()), from a
/// thread of its own. A reader that comes in another order loses nothing but time.
class ReadAhead {
 public:
  /// Tensors that every source has, in the order in which they will be read; `window_bytes` bounds
  /// how far ahead the hints go.
  ReadAhead(std::vector<std::shared_ptr<const TensorSource>> sources,
            const std::vector<std::string>& order, int64_t window_bytes);
  ~ReadAhead();

  /// Reading has come to this element.
  void reached(const std::string& name, int64_t element);

 private:
  struct Step {
    std::string name;
    int64_t first, count;
    int64_t before;  ///< bytes of the steps before it
  };
  void work();
  int64_t bytes_before(size_t step) const;

  std::vector<std::shared_ptr<const TensorSource>> sources_;
  std::vector<Step> steps_;
  int64_t all_bytes_ = 0;
  std::map<std::string, size_t> first_step_;
  int64_t window_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t position_ = 0, hinted_ = 0;  ///< steps: where reading is, and hinted up to
  bool ended_ = false;
  std::jthread thread_;  // last: it starts when all other members are made
};

}  // namespace assay
