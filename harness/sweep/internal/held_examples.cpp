#include "harness/sweep/internal/held_examples.h"

#include <algorithm>

namespace assay {

std::shared_ptr<const CalibrationData> HeldExamples::get(
    const std::string& key, const std::function<CalibrationData()>& make) {
  const auto known =
      std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return held.key == key; });
  if (known != held_.end()) {
    held_.splice(held_.begin(), held_, known);
    return known->data;
  }
  auto data = std::make_shared<const CalibrationData>(make());
  if (data->bytes() > capacity_) return data;
  while (bytes_ + data->bytes() > capacity_) {
    bytes_ -= held_.back().data->bytes();
    held_.pop_back();
  }
  bytes_ += data->bytes();
  held_.push_front({key, data});
  return data;
}

}  // namespace assay
