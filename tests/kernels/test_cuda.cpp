#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/delta_statistics.h"
#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/skip.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Several blocks and a rest, in four dtypes.
std::vector<at::Tensor> tensors() {
  std::vector<at::Tensor> out;
  uint64_t key = 0;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble})
    out.push_back(noise({3 * kBlock + 11}, ++key).to(dtype));
  return out;
}

std::vector<at::Tensor> on_cuda(std::vector<at::Tensor> all) {
  for (at::Tensor& tensor : all) tensor = tensor.to(at::kCUDA);
  return all;
}

}  // namespace

TEST_CASE("CUDA sums equal the CPU's", "[kernels][gpu]") {
  skip_without_gpu();
  const auto cpu = tensors(), cuda = on_cuda(cpu);

  CHECK(at::equal(weighted_sum(cuda, {1, 2, 3, 4}).cpu(), weighted_sum(cpu, {1, 2, 3, 4})));
  CHECK(at::equal(scaled_sum(cuda, .3).cpu(), scaled_sum(cpu, .3)));
  const DotProducts expected = dot_products(cpu), got = dot_products(cuda);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      CHECK(got(i, j) == Approx(expected(i, j)).epsilon(1e-12).margin(1e-9));
  CHECK(count_nonfinite(at::tensor({1.0f, NAN, INFINITY}).to(at::kCUDA)) == 2);
}

TEST_CASE("CUDA converts as the CPU does", "[kernels][gpu]") {
  skip_without_gpu();
  const at::Tensor values = noise({kBlock + 3}, 1) * 500;
  for (const auto from :
       {at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2})
    for (const auto to :
         {at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
      const at::Tensor narrow = convert(values, from), expected = convert(narrow, to);
      const at::Tensor got = convert(narrow.to(at::kCUDA), to).cpu();
      CHECK(at::equal(got.to(at::kFloat).nan_to_num(1e6), expected.to(at::kFloat).nan_to_num(1e6)));
    }
}

TEST_CASE("CUDA merges and their statistics equal the CPU's", "[kernels][gpu]") {
  skip_without_gpu();
  const auto cpu = tensors(), cuda = on_cuda(cpu);
  const std::vector<at::Tensor> experts(cpu.begin() + 1, cpu.end());
  const std::vector<at::Tensor> cuda_experts(cuda.begin() + 1, cuda.end());
  std::vector<DeltaTerm> terms(3,
                               {.drop = 0.3f, .rescale = 1.5f, .threshold = magnitude_bits(0.2f)});
  for (size_t i = 0; i < 3; ++i) terms[i].key = 10 + i;
  terms[2].weight = 0.7f;

  for (const auto reduce : {Reduce::kSumAll, Reduce::kMeanAgree, Reduce::kSumAgree,
                            Reduce::kMaxAgree, Reduce::kWeightedMeanAgree})
    for (const auto elect : {Elect::kMass, Elect::kCount}) {
      const DeltaRule rule{.reduce = reduce,
                           .elect = elect,
                           .tie_sign = 1,
                           .min_divisor = 0.75f,  // more than the last expert's weight alone
                           .scale = 0.8f};
      CHECK(at::equal(delta_merge(cuda[0], cuda_experts, terms, rule).cpu(),
                      delta_merge(cpu[0], experts, terms, rule)));
    }
  const DeltaRule halved{.reduce = Reduce::kMeanAgree, .scale = 0.5f};
  at::Tensor merged = at::empty_like(cuda[0]), again = at::empty_like(cuda[0]);
  at::Tensor reduced = at::empty(cuda[0].sizes(), cuda[0].options().dtype(at::kFloat));
  delta_merge_into(cuda[0], cuda_experts, terms, halved, merged, 0, &reduced);
  add_delta_into(cuda[0], reduced, 0.5f, again);
  CHECK(at::equal(merged, again));
  const int64_t offset = 1 << 20;  // as a part of a larger tensor
  std::vector<uint64_t> bits(static_cast<size_t>((offset + cpu[0].numel() + 63) / 64));
  for (size_t word = 0; word < bits.size(); ++word) bits[word] = 0x5555aaaa12345678u * word;
  terms[1].keep_mask = bits.data();
  terms[1].threshold = magnitude_bits(0.25f);
  CHECK(at::equal(delta_merge(cuda[0], cuda_experts, terms, {}, offset).cpu(),
                  delta_merge(cpu[0], experts, terms, {}, offset)));
  terms[1].keep_mask = nullptr;
  CHECK(at::equal(delta_merge(cuda[0], cuda_experts, terms, {}, offset).cpu(),
                  delta_merge(cpu[0], experts, terms, {}, offset)));
  CHECK(elected_sign_sum(cuda[0], cuda_experts, terms, Elect::kMass, offset) ==
        elected_sign_sum(cpu[0], experts, terms, Elect::kMass, offset));
  const DeltaNorms here = delta_l1_norms(cpu[0], cpu[1], terms[0], offset);
  const DeltaNorms there = delta_l1_norms(cuda[0], cuda[1], terms[0], offset);
  CHECK(there.whole == Approx(here.whole).epsilon(1e-12));
  CHECK(there.left == Approx(here.left).epsilon(1e-12));
  for (DeltaTerm& term : terms) term.rounding = DType::kBFloat16;
  const DeltaRule rounded{.reduce = Reduce::kWeightedMeanAgree,
                          .tie_sign = 1,
                          .scale = 0.8f,
                          .rounding = DType::kBFloat16};
  at::Tensor narrow = at::empty_like(cuda[2]), expected = at::empty_like(cpu[2]);
  delta_merge_into(cuda[0], cuda_experts, terms, rounded, narrow);
  delta_merge_into(cpu[0], experts, terms, rounded, expected);
  CHECK(at::equal(narrow.cpu(), expected));
}

TEST_CASE("CUDA selection equals the CPU's", "[kernels][gpu]") {
  skip_without_gpu();
  const auto cpu = tensors(), cuda = on_cuda(cpu);
  const auto select = [](const std::vector<at::Tensor>& from) {
    KthMagnitude selection({kBlock}, from[0].numel());
    do {
      selection.feed(from[0], {from[1]}, {{}});
    } while (selection.next());
    return selection.found(0);
  };
  const KthMagnitude::Found expected = select(cpu), got = select(cuda);

  CHECK(got.bits == expected.bits);
  CHECK(got.below == expected.below);
  CHECK(got.equal == expected.equal);
}
