/// Calibration data kept from one cell to the next.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "harness/calibration/data.h"

namespace assay {

class HeldExamples {
 public:
  /// Keeps at most `capacity_bytes`, the most recently used.
  explicit HeldExamples(int64_t capacity_bytes) : capacity_(capacity_bytes) {}

  /// The data of that key, made when they are not held. Data that do not fit are not kept.
  std::shared_ptr<const CalibrationData> get(const std::string& key,
                                             const std::function<CalibrationData()>& make);

 private:
  struct Held {
    std::string key;
    std::shared_ptr<const CalibrationData> data;
  };

  int64_t capacity_, bytes_ = 0;
  std::list<Held> held_;  ///< the most recently used first
};

}  // namespace assay
