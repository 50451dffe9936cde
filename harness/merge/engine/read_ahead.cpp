#include "harness/merge/engine/read_ahead.h"

#include <algorithm>

#include "harness/method/job.h"

namespace assay {

ReadAhead::ReadAhead(std::vector<std::shared_ptr<const TensorSource>> sources,
                     const std::vector<std::string>& order, int64_t window_bytes)
    : sources_(std::move(sources)), window_bytes_(window_bytes) {
  for (const std::string& name : order) {
    const TensorInfo& info = *sources_.front()->find(name);
    first_step_[name] = steps_.size();
    const auto models = static_cast<int64_t>(sources_.size());
    for (int64_t first = 0; first < info.numel(); first += kPartElements) {
      const int64_t count = std::min(kPartElements, info.numel() - first);
      steps_.push_back({name, first, count, all_bytes_});
      all_bytes_ += count * info.bytes() / info.numel() * models;
    }
  }
  thread_ = std::jthread([this] { work(); });
}

ReadAhead::~ReadAhead() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_one();
}

void ReadAhead::reached(const std::string& name, int64_t element) {
  const auto found = first_step_.find(name);
  if (found == first_step_.end()) return;
  const size_t position = found->second + static_cast<size_t>(element / kPartElements);
  const std::lock_guard lock(mutex_);
  // Another pass begins, or reading has overtaken the hints.
  if (position < position_ || position > hinted_) hinted_ = position;
  position_ = position;
  changed_.notify_one();
}

int64_t ReadAhead::bytes_before(size_t step) const {
  return step < steps_.size() ? steps_[step].before : all_bytes_;
}

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const int64_t ahead = bytes_before(hinted_) - bytes_before(position_);
    if (ended_) return;
    if (hinted_ == steps_.size() || ahead >= window_bytes_) {
      changed_.wait(lock);
      continue;
    }
    const Step& step = steps_[hinted_++];
    lock.unlock();
    for (const auto& source : sources_) source->prefetch(step.name, step.first, step.count);
    lock.lock();
  }
}

}  // namespace assay
