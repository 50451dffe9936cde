#include <algorithm>
#include <bit>
#include <functional>

#include "harness/kernels/one_thread.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "methods/dense/part_deltas.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// PCB-Merging: every entry of every task vector gets a score, for its size among those of its
/// model and for its agreement with the others. The best ones are averaged by their scores.
///
/// Authors' scores are exp(n s^2) tanh(t sum_j t_j), s the magnitude scaled to [0, 1]. Here they
/// are exp(n (s^2 - 1)) tanh(...): the weights, which are scaled to [0, 1] as well, are the same,
/// and nothing overflows.
struct Pcb {
  static constexpr MethodInfo info{
      .name = "pcb",
      .paper = "arXiv:2410.02396 §3",
      .summary = "mean of the entries that are large and agree with others, weighed by both",
      .needs = {.base = true},
      .elementwise = true,
      .identity = "",  // the entries of the lowest score have no weight
      .flops = "(69 N + 1) d"};
  static constexpr Preset presets[] = {
      {"function", R"({"ratio": 0.1, "scale": 1})", "the default of the authors' function"}};
  double ratio = 0.05;
  double clamp = 1e-4;
  double scale = 1.2;
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(ratio, {.name = "ratio",
              .range = {1e-6, 1},
              .sweep = {0.05, 0.1, 0.2},
              .help = "share of each task vector that counts, that of the highest scores"});
    p(clamp,
      {.name = "clamp",
       .range = {0, 0.4},
       .help = "share of the smallest and of the largest magnitudes of each task vector that "
               "are set to the nearest other one"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.8, 1.0, 1.2},
              .help = "multiplier of the merged task vector"});
    p(weights, {.name = "weights",
                .range = {-10, 10},
                .help = "a multiplier per expert, for which the authors search in [0.8, 1.3]; "
                        "empty: all 1"});
  }

  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& part) const;

 private:
  struct Range {
    float low = 0, high = 0;
    /// x clamped to it and scaled to [0, 1].
    at::Tensor scaled(const at::Tensor& x) const {
      const at::Tensor above = x.clamp(low, high) - low;
      return high > low ? above / (high - low) : at::zeros_like(x);
    }
  };

  std::vector<at::Tensor> deltas(const TensorJob& part) const {
    std::vector<at::Tensor> all;
    for (size_t i = 0; i < part.experts.size(); ++i) all.push_back(part_delta(part, i));
    return all;
  }
  std::vector<at::Tensor> scores(const std::vector<at::Tensor>& deltas) const;

  std::vector<Range> magnitudes_, scores_;  ///< of each expert, over the whole model
};

/// Values of the whole model: a tensor for each expert.
using Values = std::function<std::vector<at::Tensor>(const TensorJob& part)>;

/// The values of these ranks, 1 for the smallest, of nonnegative `values` of each of which there
/// are `count`.
std::vector<float> select(const ModelJob& job, const Values& values,
                          const std::vector<int64_t>& ranks, int64_t count) {
  KthMagnitude selection(ranks, count);
  const std::vector<DeltaTerm> terms(ranks.size());
  do {
    job.for_each([&](size_t k) {
      job.parts(job.names()[k]).for_each([&](const TensorJob& part) {
        const std::vector<at::Tensor> fed = values(part);
        selection.feed(at::zeros_like(fed.front()), fed, terms, part.offset);
      });
    });
  } while (selection.next());
  std::vector<float> found;
  for (size_t i = 0; i < ranks.size(); ++i)
    found.push_back(std::bit_cast<float>(selection.found(i).bits));
  return found;
}

/// The values of two ranks for each expert, of any sign.
template <typename Range>
std::vector<Range> select_ranges(const ModelJob& job, const Values& values, int64_t low,
                                 int64_t high, int64_t count) {
  const size_t experts = job.num_experts();
  std::vector<int64_t> ranks(experts, low), mirrored(experts, count - low + 1);
  ranks.resize(2 * experts, high);
  mirrored.resize(2 * experts, count - high + 1);
  const auto positive = [&](float sign) {
    return [&values, experts, sign](const TensorJob& part) {
      std::vector<at::Tensor> parts;
      for (const at::Tensor& value : values(part)) parts.push_back((value * sign).clamp_min_(0));
      for (size_t i = 0; i < experts; ++i) parts.push_back(parts[i]);
      return parts;
    };
  };
  std::vector<float> found = select(job, positive(1), ranks, count);
  // Among the negatives of all values, where the selected one is not positive.
  if (std::count(found.begin(), found.end(), 0.0F) > 0) {
    const std::vector<float> negative = select(job, positive(-1), mirrored, count);
    for (size_t i = 0; i < found.size(); ++i)
      if (found[i] == 0) found[i] = -negative[i];
  }
  std::vector<Range> ranges;
  for (size_t i = 0; i < experts; ++i) ranges.push_back({found[i], found[experts + i]});
  return ranges;
}

void Pcb::prepare(const ModelJob& job) {
  check_weights(weights, job);
  int64_t count = 0;
  for (const std::string& name : job.names()) count += job.parts(name).elements();
  magnitudes_.assign(job.num_experts(), {});
  scores_ = magnitudes_;
  if (count == 0) return;
  // Places in the sorted values as the authors compute them, from 0.
  const auto rank = [&](double place) {
    return std::clamp<int64_t>(static_cast<int64_t>(place) + 1, 1, count);
  };
  const auto d = static_cast<double>(count);
  const auto sizes = [&](const TensorJob& part) {
    std::vector<at::Tensor> all = deltas(part);
    for (at::Tensor& delta : all) delta.abs_();
    return all;
  };
  magnitudes_ = select_ranges<Range>(job, sizes, rank(d * clamp), rank(d * (1 - clamp) - 1), count);
  scores_ = select_ranges<Range>(
      job, [&](const TensorJob& part) { return scores(deltas(part)); }, rank(d * (1 - ratio)),
      count, count);
}

std::vector<at::Tensor> Pcb::scores(const std::vector<at::Tensor>& deltas) const {
  const OneThread one;  // vectorised functions may give other bits where threads divide the work
  at::Tensor sum = deltas.front().clone();
  for (size_t i = 1; i < deltas.size(); ++i) sum += deltas[i];
  std::vector<at::Tensor> all;
  for (size_t i = 0; i < deltas.size(); ++i) {
    const at::Tensor size = magnitudes_[i].scaled(deltas[i].abs());
    const auto experts = static_cast<double>(deltas.size());
    all.push_back((size.square() - 1).mul_(experts).exp_().mul_((deltas[i] * sum).tanh_()));
  }
  return all;
}

at::Tensor Pcb::merge(const TensorJob& part) const {
  constexpr double kMinDivisor = 1e-12;  // the authors'
  const std::vector<double> factors = expert_weights(weights, part.experts.size());
  const std::vector<at::Tensor> changes = deltas(part), of_changes = scores(changes);
  at::Tensor sum = at::zeros_like(changes.front()), divisor = at::zeros_like(sum);
  for (size_t i = 0; i < changes.size(); ++i) {
    const Range& range = magnitudes_[i];
    const at::Tensor share = scores_[i].scaled(of_changes[i]);
    const at::Tensor clamped = changes[i].abs().clamp_(range.low, range.high) * changes[i].sign();
    sum.add_(clamped * share, factors[i]);
    divisor += share;
  }
  return add_to_base(part, sum / divisor.clamp_min_(kMinDivisor), scale);
}

ASSAY_METHOD(Pcb)

}  // namespace
}  // namespace assay
