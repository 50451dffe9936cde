#include <cmath>

#include "harness/core/hash.h"
#include "harness/core/philox.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/method.h"

namespace assay {
namespace {

/// Uniform draws in (0, 1], one after the other.
class Draws {
 public:
  explicit Draws(uint64_t key) : key_(key) {}
  double uniform() { return 1.0 - static_cast<double>(philox_uniform(key_, next_++)); }
  double normal() {
    constexpr double kTurn = 6.283185307179586;
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(kTurn * uniform());
  }
  /// Of the gamma distribution of this shape and scale 1 (Marsaglia and Tsang, 2000).
  double gamma(double shape) {
    if (shape < 1) return gamma(shape + 1) * std::pow(uniform(), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
      const double x = normal(), root = 1 + c * x;
      const double v = root * root * root;
      if (root > 0 && std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  uint64_t key_, next_ = 0;
};

/// M3 (Mixup Model Merge): a point between two experts, at a share that is drawn at random.
struct M3 {
  static constexpr MethodInfo info{
      .name = "m3",
      .paper = "arXiv:2502.15434 §3",
      .summary = "a random point between two experts, its share drawn from a beta distribution",
      .needs = {.min_experts = 2, .max_experts = 2},
      .randomized = true,
      .elementwise = true,
      .own_moments = true,
      .flops = "3 d"};
  double alpha = 1;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0.05, 100},
              .sweep = {0.2, 0.5, 1, 2, 5},
              .help = "both shapes of the beta distribution: below 1 shares near 0 and 1 are "
                      "likely, above 1 those near a half; the seed chooses the share"});
  }

  void prepare(const ModelJob& job) {
    if (job.names().empty()) return;
    const TensorParts first = job.parts(job.names().front());
    Draws draws(Hasher().text("share of m3").number(first.expert_key(0)).low64());
    const double one = draws.gamma(alpha);
    share_ = one / (one + draws.gamma(alpha));
    first.report("share", share_);
  }
  at::Tensor merge(const TensorJob& part) const {
    return weighted_sum(part.experts, {share_, 1 - share_});
  }

 private:
  double share_ = 0.5;  ///< of the first expert
};

ASSAY_METHOD(M3)

}  // namespace
}  // namespace assay
