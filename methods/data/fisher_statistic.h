/// The experts' Fisher information, as methods read it.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "harness/method/method.h"

namespace assay {

struct FisherStatistic {
  enum class Estimator { kExact, kEmpirical, kSampled, kArgmax, kMergelm };
  using Source = std::shared_ptr<const TensorSource>;

  Estimator estimator = Estimator::kExact;

  void parameters(auto&& p) {
    p(estimator,
      {.name = "estimator",
       .choices = {kEstimators.begin(), kEstimators.end()},
       .help = "whose log-probability's gradient is squared: that of every class, by probability "
               "(exact), of the true one (empirical), of one that is drawn (sampled), of the most "
               "probable one (argmax), or MergeLM's sum over classes (mergelm)"});
  }
  /// The method's needs, and what the estimator does.
  Needs needs(Needs of_method) const {
    of_method.calibration_labels = estimator == Estimator::kEmpirical;
    return of_method;
  }
  StatisticRef ref() const {
    return {"fisher", {{"estimator", kEstimators[static_cast<size_t>(estimator)]}}};
  }
  /// Of every expert.
  std::vector<Source> open(const Evidence& evidence, size_t experts) const;
  /// Of every expert for one tensor; null where the statistic lacks it, as it does tensors that no
  /// gradient reaches. DataError on another number of elements.
  std::vector<Source> open(const TensorParts& tensor) const;

 private:
  static constexpr std::array<std::string_view, 5> kEstimators = {"exact", "empirical", "sampled",
                                                                  "argmax", "mergelm"};
};

/// The values of a part, float64, shaped like its experts; zeros where there is no source.
at::Tensor read_fisher(const FisherStatistic::Source& source, const TensorJob& part);

}  // namespace assay
