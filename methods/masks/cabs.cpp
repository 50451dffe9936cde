#include "methods/dense/part_deltas.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// CABS: one expert after the other keeps the n largest of every m entries that no earlier one has
/// taken. The pruned task vectors do not overlap, and are added up.
struct Cabs {
  enum class LastBlock { kShare, kDrop };

  static constexpr MethodInfo info{
      .name = "cabs",
      .paper = "arXiv:2503.01874 §3",
      .summary = "n of m entries of each task vector, none taken twice, added up",
      .needs = {.base = true},
      .identity = R"({"n": 256})",
      .flops = "(6 N + 2) d"};
  static constexpr Preset presets[] = {
      {"paper", R"({"last_block": "drop"})",
       "the authors' code: what is left of a tensor after its last whole block stays the base's, "
       "and so do whole tensors of fewer entries than a block"}};
  int64_t n = 64;
  int64_t m = 256;
  LastBlock last_block = LastBlock::kShare;
  double scale = 1;
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(n, {.name = "n",
          .range = {1, kPartElements},
          .sweep = {32, 64, 128},
          .help = "how many entries of a block an expert keeps"});
    p(m, {.name = "m",
          .range = {1, kPartElements},
          .help = "entries of a block, in the order of the flattened tensor; a power of 2"});
    p(last_block,
      {.name = "last_block",
       .choices = {"share", "drop"},
       .help = "of a last block of fewer entries each expert keeps the same share, but at least "
               "one entry (share), or none (drop)"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.5, 1.0, 1.5},
              .help = "multiplier of the summed task vectors"});
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
  }

  std::optional<std::string> conflict() const {
    if (kPartElements % m != 0)  // blocks would go across parts
      return fmt::format("parameter 'm' is {}: expected a power of 2", m);
    if (n > m) return fmt::format("parameter 'n' is {}, more than 'm', which is {}", n, m);
    return std::nullopt;
  }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  /// A tensor's elements. Parts have whole blocks but for the last block of the tensor.
  int64_t measure(const TensorParts& tensor) const { return tensor.elements(); }
  at::Tensor merge(const TensorJob& part, int64_t elements) const;
};

at::Tensor Cabs::merge(const TensorJob& part, int64_t elements) const {
  const int64_t count = part.base.numel(), rest = count % m, whole = count - rest;
  ASSAY_CHECK(rest == 0 || part.offset + count == elements, "a part ends within a block");
  const int64_t of_rest = last_block == LastBlock::kDrop ? 0 : std::max<int64_t>(n * rest / m, 1);
  const std::vector<double> factors = expert_weights(weights, part.experts.size());

  at::Tensor sum = at::zeros({count}, part.base.options().dtype(at::kFloat));
  at::Tensor taken = at::zeros_like(sum, at::kBool);
  for (size_t i = 0; i < part.experts.size(); ++i) {
    const at::Tensor delta = part_delta(part, i);
    const at::Tensor free = delta.abs().masked_fill_(taken, -1);
    at::Tensor kept = at::zeros_like(taken);
    if (whole > 0)
      kept.narrow(0, 0, whole)
          .copy_(largest_of_rows(free.narrow(0, 0, whole).view({-1, m}), n).flatten());
    if (rest > 0 && of_rest > 0)
      kept.narrow(0, whole, rest)
          .copy_(largest_of_rows(free.narrow(0, whole, rest).view({1, rest}), of_rest).flatten());
    kept.logical_and_(free >= 0);  // fewer than n may be left
    sum.add_(at::where(kept, delta, 0.0F), factors[i]);
    taken.logical_or_(kept);
  }
  return add_to_base(part, sum, scale);
}

ASSAY_METHOD(Cabs)

}  // namespace
}  // namespace assay
