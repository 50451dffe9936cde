#include "harness/core/metrics.h"

namespace assay {

bool is_fraction(std::string_view metric) {
  return !metric.ends_with("perplexity") && metric != "bits_per_byte" && metric != "brier";
}

bool lower_is_better(std::string_view metric) { return !is_fraction(metric); }

}  // namespace assay
