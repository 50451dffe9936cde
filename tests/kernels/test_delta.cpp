#include <atomic>
#include <thread>

#include "harness/kernels/blocks.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/delta_statistics.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Merges columns of values given as deltas from a base of zeros.
at::Tensor merge_by_rule(const std::vector<std::vector<float>>& deltas, const DeltaRule& rule,
                         std::vector<DeltaTerm> terms = {}) {
  std::vector<at::Tensor> experts;
  for (const auto& values : deltas) experts.push_back(at::tensor(values));
  terms.resize(deltas.size());
  return delta_merge(at::zeros_like(experts[0]), experts, terms, rule);
}

}  // namespace

TEST_CASE("each reduction, by hand", "[kernels]") {
  // Sums: 2, -1, 0. Elected: +, -, tie.
  const std::vector<std::vector<float>> deltas{{3, 1, 1}, {1, -3, 0}, {-2, 1, -1}};

  CHECK(at::equal(merge_by_rule(deltas, {}), at::tensor({2.0f, -1.0f, 0.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kMeanAgree, .tie_sign = 1}),
                  at::tensor({2.0f, -3.0f, 1.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kSumAgree, .tie_sign = -1}),
                  at::tensor({4.0f, -3.0f, -1.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kMaxAgree, .tie_sign = 0}),
                  at::tensor({3.0f, -3.0f, 0.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kSumAgree, .elect = Elect::kCount}),
                  at::tensor({4.0f, 2.0f, 0.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {.scale = 0.5f}), at::tensor({1.0f, -0.5f, 0.0f})));
}

TEST_CASE("weights count before the election and in the weighted mean", "[kernels]") {
  // Weighted: 3, -4; then 1, 2.
  const std::vector<std::vector<float>> deltas{{3, 1}, {-2, 1}};
  const std::vector<DeltaTerm> terms{{}, {.weight = 2}};

  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kMeanAgree}, terms),
                  at::tensor({-4.0f, 1.5f})));
  CHECK(at::equal(merge_by_rule(deltas, {.reduce = Reduce::kWeightedMeanAgree}, terms),
                  at::tensor({-2.0f, 1.0f})));
}

TEST_CASE("weights that cancel leave the sum as it is", "[kernels]") {
  // Weighted: 2 and 1, both positive, with weights +1 and -1.
  const at::Tensor merged =
      merge_by_rule({{2}, {-1}}, {.reduce = Reduce::kWeightedMeanAgree}, {{}, {.weight = -1}});

  CHECK(merged.item<float>() == 3);
}

TEST_CASE("a sum of weights up to the least divisor leaves the sum as it is", "[kernels]") {
  // Weighted: 3 and 1, both positive, with weights 1.5 and -1, whose sum is 0.5.
  const auto merged = [](float min_divisor) {
    const DeltaRule rule{.reduce = Reduce::kWeightedMeanAgree, .min_divisor = min_divisor};
    return merge_by_rule({{2}, {-1}}, rule, {{.weight = 1.5f}, {.weight = -1}}).item<float>();
  };

  CHECK(merged(0.5f) == 4);
  CHECK(merged(0.25f) == 8);
}

TEST_CASE("votes beyond the range of the dtype have their sign", "[kernels]") {
  const int64_t count = kRun + 3;
  const auto all = [&](float value) { return at::full({count}, value, at::kFloat8_e4m3fn); };
  const std::vector<DeltaTerm> terms(2, {.rounding = DType::kFloat8E4M3});

  CHECK(elected_sign_sum(all(0), {all(320), all(320)}, terms, Elect::kMass, 0) == count);
}

TEST_CASE("trimming keeps what reaches the threshold, ties up to an index", "[kernels]") {
  const uint32_t two = magnitude_bits(2);
  const std::vector<std::vector<float>> deltas{{1, -2, 3, 2, -1}};

  CHECK(at::equal(merge_by_rule(deltas, {}, {{.threshold = two}}),
                  at::tensor({0.0f, -2.0f, 3.0f, 2.0f, 0.0f})));
  CHECK(at::equal(merge_by_rule(deltas, {}, {{.threshold = two, .tie_end = 3}}),
                  at::tensor({0.0f, -2.0f, 3.0f, 0.0f, 0.0f})));
}

TEST_CASE("drops follow the key and the index, and what is left is rescaled", "[kernels]") {
  const at::Tensor base = at::zeros({3 * kBlock}), expert = at::ones({3 * kBlock});
  const DeltaTerm term{.drop = 0.25f, .key = 99, .rescale = 2};

  const at::Tensor merged = delta_merge(base, {expert}, {term}, {});

  int64_t wrong = 0;
  for (int64_t i = 0; i < merged.numel(); ++i) {
    const bool dropped = first_draw(99, i) < 0x40;
    wrong += merged.const_data_ptr<float>()[i] == (dropped ? 0.0f : 2.0f) ? 0 : 1;
  }
  CHECK(wrong == 0);
  const DeltaNorms norms = delta_l1_norms(base, expert, term);
  CHECK(norms.whole == 3.0 * kBlock);
  CHECK(norms.left == merged.sum().item<double>());
}

TEST_CASE("a draw that does not decide is followed by a second", "[kernels]") {
  constexpr uint64_t kKey = 92;
  constexpr int64_t kSize = 64 * kBlock;
  const uint32_t level = first_draw(kKey, 700);
  const at::Tensor base = at::zeros({kSize}), expert = at::ones({kSize});
  const auto dropped = [&](float rest, uint32_t threshold = 0) {
    const DeltaTerm term{
        .drop = (static_cast<float>(level) + rest) / 256, .key = kKey, .threshold = threshold};
    return delta_merge(base, {expert}, {term}, {}).eq(0);
  };

  const float draw = second_draw(kKey, 700);
  REQUIRE(draw > 0.0625f);
  CHECK_FALSE(dropped(0)[700].item<bool>());
  CHECK_FALSE(dropped(0.0625f)[700].item<bool>());
  CHECK(dropped(0.9921875f)[700].item<bool>() == draw < 0.9921875f);
  const at::Tensor some = dropped(0.5f);
  CHECK(at::equal(dropped(0.5f, magnitude_bits(0.5f)), some));  // what is trimmed takes other loops
  int64_t wrong = 0, undecided = 0, most = 0;
  for (int64_t i = 0; i < kSize; ++i) {
    wrong += some.const_data_ptr<bool>()[i] == drops(kKey, i, {level, 0.5f}) ? 0 : 1;
    if (i % kRun == 0) undecided = 0;
    most = std::max(most, undecided += first_draw(kKey, i) == level ? 1 : 0);
  }
  CHECK(wrong == 0);
  REQUIRE(most > 8);  // more than one vector of second draws
  CHECK(delta_merge(base, {expert}, {{.drop = 1}}, {}).eq(0).all().item<bool>());
  const at::Tensor many = at::ones({300});
  for (const uint32_t threshold : {0u, magnitude_bits(0.5f)}) {
    const DeltaTerm all{.drop = 1, .threshold = threshold};
    CHECK(delta_merge(at::zeros({300}), {many}, {all}, {}).eq(0).all().item<bool>());
  }
}

TEST_CASE("the sum of elected signs leaves ties out", "[kernels]") {
  const std::vector<at::Tensor> experts{at::tensor({1.0f, 1.0f, -5.0f, 2.0f}),
                                        at::tensor({1.0f, -1.0f, 1.0f, 2.0f})};

  CHECK(elected_sign_sum(at::zeros({4}), experts, std::vector<DeltaTerm>(2), Elect::kMass) == 1);
  CHECK(elected_sign_sum(at::zeros({4}), experts, std::vector<DeltaTerm>(2), Elect::kCount) == 2);
}

TEST_CASE("the k-th magnitude is exact over several tensors, at every rank", "[kernels]") {
  // Rounding to a coarse grid makes many ties, some of them across the tensors.
  const std::vector<at::Tensor> tensors{(noise({300}, 1) * 8).round() / 8,
                                        (noise({20, 10}, 2) * 8).round() * 1e-3f, at::zeros({3})};
  std::vector<float> sorted;
  for (const at::Tensor& t : tensors)
    for (int64_t i = 0; i < t.numel(); ++i)
      sorted.push_back(std::fabs(t.flatten()[i].item<float>()));
  std::sort(sorted.begin(), sorted.end());

  for (size_t rank = 1; rank <= sorted.size(); rank += 7) {
    KthMagnitude selection({static_cast<int64_t>(rank)}, std::ssize(sorted));
    do {
      for (const at::Tensor& t : tensors) selection.feed(at::zeros_like(t), {t}, {{}});
    } while (selection.next());

    const float kth = sorted[rank - 1];
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), kth);
    REQUIRE(bits_to_float(selection.found(0).bits) == kth);
    REQUIRE(selection.found(0).below == first - sorted.begin());
    REQUIRE(selection.found(0).equal == last - first);
  }
}

TEST_CASE("deltas rounded to bfloat16 are selected in one pass", "[kernels]") {
  const at::Tensor values = noise({1000}, 3), zeros = at::zeros({1000});
  const DeltaTerm term{.rounding = DType::kBFloat16};
  const auto [sorted, order] = values.to(at::kBFloat16).to(at::kFloat).abs().sort();
  const float kth = sorted[699].item<float>();
  KthMagnitude selection({700}, 1000);
  selection.feed(zeros, {values}, {term});

  CHECK_FALSE(selection.next());
  CHECK(bits_to_float(selection.found(0).bits) == kth);
  CHECK(selection.found(0).equal == sorted.eq(kth).sum().item<int64_t>());
  CHECK(selection.found(0).below == sorted.lt(kth).sum().item<int64_t>());
  KthMagnitude mixed({1}, 2000);
  mixed.feed(zeros, {values}, {term});
  mixed.feed(zeros, {values}, {{}});
  CHECK(mixed.next());
}

TEST_CASE("a sample shows where to look, and misleads about time alone", "[kernels]") {
  constexpr int64_t kSize = int64_t{1} << 22;  // sampled: 128 elements of every 2048
  const int64_t rank = kSize / 2 + 1000;
  at::Tensor misleading = at::full({kSize}, 5.0f);
  misleading.slice(0, 1000, kSize).fill_(2.0f);
  misleading.view({-1, 2048}).slice(1, 0, 128).fill_(GENERATE(1.0f, 3.0f));
  const at::Tensor values = noise({kSize}, 5);
  const at::Tensor narrow = values.to(at::kBFloat16).to(at::kFloat);
  const at::Tensor base = at::zeros({kSize});
  const std::vector<DeltaTerm> terms{{}, {.weight = 9}, {.rounding = DType::kBFloat16}};
  KthMagnitude selection({rank, rank, rank}, kSize);
  int passes = 0;
  do {
    for (int64_t offset = 0; offset < kSize; offset += kSize / 2) {
      const auto part = [&](const at::Tensor& t) { return t.narrow(0, offset, kSize / 2); };
      selection.feed(part(base), {part(misleading), part(values), part(narrow)}, terms, offset);
    }
    ++passes;
  } while (selection.next());

  CHECK(passes > 2);
  KthMagnitude honest({rank, rank}, kSize);
  honest.feed(base, {values, narrow}, {{}, {.rounding = DType::kBFloat16}});
  CHECK(honest.next());
  honest.feed(base, {values, narrow}, {{}, {.rounding = DType::kBFloat16}});
  CHECK_FALSE(honest.next());
  const std::vector<at::Tensor> experts{misleading, values, narrow};
  for (size_t i = 0; i < experts.size(); ++i) {
    const at::Tensor sorted = std::get<0>(experts[i].abs().sort());
    const float kth = sorted[rank - 1].item<float>();
    CHECK(bits_to_float(selection.found(i).bits) == kth);
    CHECK(selection.found(i).below == sorted.lt(kth).sum().item<int64_t>());
    CHECK(selection.found(i).equal == sorted.eq(kth).sum().item<int64_t>());
  }
}

TEST_CASE("several threads feed a selection of bfloat16 at once", "[kernels]") {
  constexpr int64_t kSize = int64_t{1} << 22, kParts = 64, kPart = kSize / kParts;
  const at::Tensor base = noise({kSize}, 1).to(at::kBFloat16);
  const auto changed = [&](const at::Tensor& by) {
    return (base.to(at::kFloat) + by).to(at::kBFloat16);
  };
  at::Tensor misleading = at::full({kSize}, 5.0f);
  misleading.slice(0, 0, kSize * 2 / 3).fill_(2.0f);
  misleading.view({-1, 2048}).slice(1, 0, 128).fill_(1.0f);  // what is sampled
  const at::Tensor some = changed(0.05 * noise({kSize}, 2));
  // One rank in the midst, one at the end, where the sample says least, one where it is wrong.
  const std::vector<at::Tensor> experts{some, some, changed(misleading)};
  const std::vector<int64_t> ranks{kSize / 3, kSize - 3, kSize / 2};
  KthMagnitude selection(ranks, kSize);
  do {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int64_t part = next++; part < kParts; part = next++) {
          const auto of = [&](const at::Tensor& t) { return t.narrow(0, part * kPart, kPart); };
          selection.feed(of(base), {of(experts[0]), of(experts[1]), of(experts[2])},
                         std::vector<DeltaTerm>(3), part * kPart);
        }
      });
    for (std::thread& thread : threads) thread.join();
  } while (selection.next());

  for (size_t i = 0; i < experts.size(); ++i) {
    const at::Tensor deltas = experts[i].to(at::kFloat) - base.to(at::kFloat);
    const at::Tensor sorted = std::get<0>(deltas.abs().sort());
    const float kth = sorted[ranks[i] - 1].item<float>();
    CAPTURE(i);
    CHECK(bits_to_float(selection.found(i).bits) == kth);
    CHECK(selection.found(i).below == sorted.lt(kth).sum().item<int64_t>());
    CHECK(selection.found(i).equal == sorted.eq(kth).sum().item<int64_t>());
  }
}

TEST_CASE("a magnitude that most elements have is found, and those next to it", "[kernels]") {
  constexpr int64_t kSize = int64_t{1} << 22, kOnes = kSize / 2;  // and as many others, half larger
  at::Tensor values = noise({kSize}, 8).abs();
  values = at::where(values < 0.5, values, values + 2);
  const int64_t smaller = values.slice(0, kOnes).lt(1).sum().item<int64_t>();
  values.slice(0, 0, kOnes).fill_(1);
  values = values.view({2, -1}).t().contiguous().flatten();
  const at::Tensor base = at::zeros({kSize}), sorted = std::get<0>(values.sort());
  // Inside, the first and the last of the ones, and next to them.
  for (const int64_t rank :
       {smaller, smaller + 1, smaller + kOnes / 2, smaller + kOnes, smaller + kOnes + 1}) {
    KthMagnitude selection({rank}, kSize);
    do {
      selection.feed(base, {values}, {{}});
    } while (selection.next());
    const float kth = sorted[rank - 1].item<float>();
    CAPTURE(rank);
    CHECK(bits_to_float(selection.found(0).bits) == kth);
    CHECK(selection.found(0).below == sorted.lt(kth).sum().item<int64_t>());
    CHECK(selection.found(0).equal == sorted.eq(kth).sum().item<int64_t>());
  }
}

TEST_CASE("magnitudes of several experts are selected concurrently", "[kernels]") {
  constexpr int64_t kSize = 3000 + 5;
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const size_t count : {1, 2, 3, 4, 5}) {
      const at::Tensor base = noise({kSize}, 1).to(type);
      std::vector<at::Tensor> experts;
      std::vector<int64_t> ranks;
      for (size_t i = 0; i < count; ++i) {
        experts.push_back(noise({kSize}, i + 2).to(type));
        ranks.push_back(static_cast<int64_t>(300 * (i + 1)));
      }
      KthMagnitude selection(ranks, kSize);
      do {
        selection.feed(base, experts, std::vector<DeltaTerm>(count));
      } while (selection.next());

      for (size_t i = 0; i < count; ++i) {
        const at::Tensor deltas = experts[i].to(at::kFloat) - base.to(at::kFloat);
        const at::Tensor sorted = std::get<0>(deltas.abs().sort());
        const float kth = sorted[ranks[i] - 1].item<float>();
        CAPTURE(type, count, i);
        CHECK(bits_to_float(selection.found(i).bits) == kth);
        CHECK(selection.found(i).below == sorted.lt(kth).sum().item<int64_t>());
        CHECK(selection.found(i).equal == sorted.eq(kth).sum().item<int64_t>());
      }
    }
}

TEST_CASE("the end of the first ties is found by index", "[kernels]") {
  const at::Tensor base = at::zeros({5}), expert = at::tensor({1.0f, -1.0f, 3.0f, 1.0f, 1.0f});
  const uint32_t one = magnitude_bits(1);

  CHECK(find_tie_end(base, expert, {}, one, 2).end == 3);
  CHECK(find_tie_end(base, expert, {}, one, 2).found == 2);
  CHECK(find_tie_end(base, expert, {}, one, 9).found == 4);
  CHECK(find_tie_end(base, expert, {}, one, 9).end > 4);
}

TEST_CASE("delta kernels do not depend on threads", "[kernels]") {
  const int64_t size = 4 * kBlock + 5;
  const at::Tensor base = noise({size}, 1);
  const std::vector<at::Tensor> experts{noise({size}, 2), noise({size}, 3), noise({size}, 4)};
  const std::vector<DeltaTerm> terms(
      3, {.drop = 0.5f, .key = 7, .rescale = 2, .threshold = magnitude_bits(0.1f)});
  const DeltaRule rule{.reduce = Reduce::kMeanAgree};
  const Threads one(1);
  const at::Tensor merged = delta_merge(base, experts, terms, rule);
  const double norm = delta_l1_norms(base, experts[0], terms[0]).left;
  const int64_t signs = elected_sign_sum(base, experts, terms, Elect::kMass);

  for (const int threads : {2, 4}) {
    const Threads several(threads);
    CHECK(at::equal(delta_merge(base, experts, terms, rule), merged));
    CHECK(delta_l1_norms(base, experts[0], terms[0]).left == norm);
    CHECK(elected_sign_sum(base, experts, terms, Elect::kMass) == signs);
  }
}
