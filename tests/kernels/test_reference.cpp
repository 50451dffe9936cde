#include <fmt/format.h>

#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/delta_statistics.h"
#include "harness/kernels/task_vector/runs.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

// The kernels against plain loops over the functions of one element, to the bit.

using namespace assay;
using namespace assay::testing;

namespace {

constexpr at::ScalarType kMixedTypes[] = {at::kBFloat16, at::kFloat,         at::kHalf,
                                          at::kDouble,   at::kFloat8_e4m3fn, at::kFloat8_e5m2};

/// Base and experts of several dtypes, with zeros, equal magnitudes, infinities and NaN among them.
std::vector<at::Tensor> difficult_tensors(int64_t size, int count) {
  std::vector<at::Tensor> out;
  for (int i = 0; i < count; ++i) {
    at::Tensor values = noise({size}, static_cast<uint64_t>(i) + 1);
    const at::Tensor kind = noise({size}, static_cast<uint64_t>(i) + 100);
    values = at::where(kind > 0.6, (values * 4).round() / 4, values);
    if (i > 0) values = at::where(kind < -0.8, out[0].to(at::kFloat), values);
    values = at::where(kind.abs() < 1e-3,
                       at::full_like(values, kind[0].item<float>() > 0 ? NAN : INFINITY), values);
    out.push_back(values.to(kMixedTypes[i % 6]));
  }
  return out;
}

float value_of(const at::Tensor& tensor, int64_t index) {
  const Operands operands({tensor});
  return load(operands[0], index);
}

std::vector<std::vector<float>> columns(const std::vector<at::Tensor>& tensors) {
  std::vector<std::vector<float>> out;
  for (const at::Tensor& tensor : tensors) {
    const Operands operands({tensor});
    std::vector<float>& column = out.emplace_back();
    for (int64_t j = 0; j < tensor.numel(); ++j) column.push_back(load(operands[0], j));
  }
  return out;
}

int64_t differing(const at::Tensor& got, const std::vector<float>& want) {
  int64_t wrong = 0;
  for (size_t j = 0; j < want.size(); ++j) {
    const float value = got.const_data_ptr<float>()[j];
    const bool same =
        std::isnan(value) ? std::isnan(want[j]) : float_to_bits(value) == float_to_bits(want[j]);
    wrong += same ? 0 : 1;
  }
  return wrong;
}

/// `keep_mask`: for some of the terms, unless null.
std::vector<DeltaTerm> varied_terms(int count, int64_t tie_end, DType rounding,
                                    const uint64_t* keep_mask = nullptr) {
  std::vector<DeltaTerm> terms(static_cast<size_t>(count));
  for (size_t i = 0; i < terms.size(); ++i) {
    DeltaTerm& term = terms[i];
    if (i % 3 == 1) term.drop = 0.4f, term.key = i, term.rescale = 1 / 0.6f;
    if (i % 2 == 0) term.threshold = magnitude_bits(0.25f);
    if (i % 4 == 0) term.tie_end = tie_end;
    if (i % 4 == 2) term.keep_mask = keep_mask;
    if (i % 5 == 2) term.weight = 0.7f;
    if (i == 4) term.weight = -0.7f;
    term.rounding = rounding;
  }
  return terms;
}

}  // namespace

TEST_CASE("merges equal the function of one element", "[kernels]") {
  constexpr int64_t kSize = kRun + 37, kOffset = (int64_t{1} << 34) + 64;
  const std::vector<at::Tensor> all = difficult_tensors(kSize, 11);
  const auto values = columns(all);

  for (int n = 1; n <= 10; ++n)
    for (const DType rounding : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
      for (const auto reduce : {Reduce::kSumAll, Reduce::kMeanAgree, Reduce::kSumAgree,
                                Reduce::kMaxAgree, Reduce::kWeightedMeanAgree})
        for (const auto elect : {Elect::kMass, Elect::kCount})
          for (const float tie_sign : {-1.0f, 0.0f, 1.0f}) {
            const auto terms = varied_terms(n, kOffset + 600, rounding);
            const DeltaRule rule{.reduce = reduce,
                                 .elect = elect,
                                 .tie_sign = tie_sign,
                                 .scale = 0.8f,
                                 .rounding = rounding};
            std::vector<float> want;
            for (int64_t j = 0; j < kSize; ++j) {
              const auto at_j = static_cast<size_t>(j);
              const auto term = [&](int i) {
                const auto k = static_cast<size_t>(i);
                return term_element(values[k + 1][at_j], values[0][at_j], terms[k], kOffset + j);
              };
              want.push_back(merge_element(n, term, values[0][at_j], terms.data(), rule));
            }
            CAPTURE(n, rounding, reduce, elect, tie_sign);
            const std::vector<at::Tensor> experts(all.begin() + 1, all.begin() + 1 + n);
            REQUIRE(differing(delta_merge(all[0], experts, terms, rule, kOffset), want) == 0);
          }
}

TEST_CASE("merges of models of one dtype, too", "[kernels]") {
  // The last run: of no whole vectors; of whole ones of 16 values, but not of 32; of 64.
  const int64_t size = 2 * kRun + GENERATE(37, 48, 192);
  constexpr int64_t kOffset = 1 << 12;
  enum Steps { kAll, kNoFactors, kTrimOnly, kDropOnly };
  const std::vector<uint64_t> kept((kOffset + size + 63) / 64, 0x5a5a'c3c3'0ff0'a5a5u);
  for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    std::vector<at::Tensor> all = difficult_tensors(size, 5);
    for (at::Tensor& tensor : all) tensor = tensor.to(type);
    const auto values = columns(all);
    for (int n = 1; n <= 4; ++n)
      for (const DType rounding : {DType::kFloat32, DType::kBFloat16})
        for (const auto reduce : {Reduce::kSumAll, Reduce::kMeanAgree, Reduce::kSumAgree,
                                  Reduce::kMaxAgree, Reduce::kWeightedMeanAgree})
          for (const float tie_sign : {-1.0f, 0.0f, 1.0f})
            for (const Steps steps : {kAll, kNoFactors, kTrimOnly, kDropOnly}) {
              // The turn of tie_end: in the first run, between two, in the second.
              const int64_t turn = kRun + (static_cast<int64_t>(tie_sign) * 12);
              auto terms = varied_terms(n, kOffset + turn, rounding, kept.data());
              for (DeltaTerm& term : terms) {
                if (steps == kNoFactors || steps == kTrimOnly) term.weight = term.rescale = 1;
                if (steps == kTrimOnly) term.drop = 0;
                if (steps == kDropOnly) term.threshold = 0;
              }
              // The least thresholds: all is kept, ties or not; all but zeros that do not tie.
              if (steps == kTrimOnly && tie_sign == 0) terms[0].threshold = 0;
              if (steps == kTrimOnly && tie_sign == 0 && n > 2) terms[2].threshold = 1;
              // All are dropped; every draw is held against a level without a rest.
              if (steps == kDropOnly && n > 2) terms[2].drop = tie_sign == 0 ? 1 : 0.25f;
              const DeltaRule rule{.reduce = reduce,
                                   .tie_sign = tie_sign,
                                   .divisor = steps == kAll ? 1.7f : 1.0f,
                                   .scale = steps == kNoFactors ? 1.0f : 0.8f,
                                   .rounding = rounding};
              std::vector<float> want, stored;
              int64_t signs = 0, nonfinite = 0;
              for (size_t j = 0; j < values[0].size(); ++j) {
                const auto term = [&](int i) {
                  const auto k = static_cast<size_t>(i);
                  return term_element(values[k + 1][j], values[0][j], terms[k],
                                      kOffset + static_cast<int64_t>(j));
                };
                want.push_back(merge_element(n, term, values[0][j], terms.data(), rule));
                stored.push_back(round_to(want.back(), dtype_of(type)));
                nonfinite += is_finite(stored.back()) ? 0 : 1;
                signs += static_cast<int64_t>(vote_sign(count_votes(n, term, rule.elect)));
              }
              CAPTURE(type, n, rounding, reduce, tie_sign, steps);
              const std::vector<at::Tensor> experts(all.begin() + 1, all.begin() + 1 + n);
              REQUIRE(differing(delta_merge(all[0], experts, terms, rule, kOffset), want) == 0);
              REQUIRE(elected_sign_sum(all[0], experts, terms, Elect::kMass, kOffset) == signs);
              at::Tensor out = all[0].clone();  // written over the base
              REQUIRE(delta_merge_into(out, experts, terms, rule, out, kOffset) == nonfinite);
              REQUIRE(differing(out.to(at::kFloat), stored) == 0);
            }
  }
}

TEST_CASE("the upper 16 bits of deltas in bfloat16 equal those of one element", "[kernels]") {
  constexpr int64_t kSize = kRun;
  std::vector<at::Tensor> all = difficult_tensors(kSize, 2);
  for (at::Tensor& tensor : all) tensor = tensor.to(at::kBFloat16);
  all[1][3] = NAN;
  all[0][40] = -INFINITY;
  all[1][40] = -INFINITY;  // their difference is a NaN
  all[1][70] = INFINITY;
  all[0][71] = -3e38f;
  all[1][71] = 3e38f;  // overflows
  const auto values = columns(all);
  for (const int64_t size : {kSize, kSize - 5}) {
    std::vector<uint16_t> got(static_cast<size_t>(size));
    delta_upper16_run(all[0].const_data_ptr(), all[1].const_data_ptr(), 0, size, got.data());
    int64_t wrong = 0;
    for (size_t j = 0; j < got.size(); ++j) {
      const float delta = plain_delta(values[1][j], values[0][j], DType::kBFloat16);
      wrong += got[j] == magnitude_bits(delta) >> 16 ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("norms of models of one dtype, too", "[kernels]") {
  constexpr int64_t kSize = kBlock + 2 * kRun + 5, kOffset = 1 << 12;
  for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat})
    for (const auto& [rounding, rescale] : {std::pair{DType::kFloat32, 1.0f},
                                            {DType::kFloat32, 1.7f},
                                            {DType::kBFloat16, 1.0f},
                                            {DType::kBFloat16, 1.7f}}) {
      const at::Tensor base = noise({kSize}, 1).to(type), expert = noise({kSize}, 2).to(type);
      const auto values = columns({base, expert});
      const DeltaTerm term{
          .drop = 0.4f, .key = 5, .rescale = rescale, .weight = 9, .rounding = rounding};
      double whole = 0, left = 0;
      for (size_t j = 0; j < values[0].size(); ++j) {
        const float delta = plain_delta(values[1][j], values[0][j], rounding);
        const auto index = kOffset + static_cast<int64_t>(j);
        whole += std::fabs(static_cast<double>(delta));
        left +=
            std::fabs(static_cast<double>(delta_element(values[1][j], values[0][j], term, index)));
      }
      const DeltaNorms norms = delta_l1_norms(base, expert, term, kOffset);
      CAPTURE(type, rounding, rescale);
      CHECK(norms.whole == Approx(whole).epsilon(1e-12));
      CHECK(norms.left == Approx(left).epsilon(1e-12));
    }
}

TEST_CASE("adding a delta equals its element, over blocks and wherever the result lies",
          "[kernels]") {
  const int64_t count = 2 * kBlock + kRun + 37;
  at::Tensor delta = at::randn({count});
  delta[kBlock] = NAN;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor base = at::randn({count}).to(dtype), place = at::empty({count + 1}, dtype);
    base[7] = -0.0f;
    delta[7] = -0.0f;
    const at::Tensor start = base.to(at::kFloat);
    for (const float scale : {1.0f, 0.3f}) {
      std::vector<float> want;
      for (int64_t i = 0; i < count; ++i)
        want.push_back(
            changed_base(start[i].item<float>(), delta[i].item<float>(), scale, DType::kFloat32));
      const at::Tensor stored = at::tensor(want).to(dtype).to(at::kFloat);
      want.assign(stored.data_ptr<float>(), stored.data_ptr<float>() + count);
      for (const int64_t first : {0, 1}) {
        at::Tensor out = place.slice(0, first, first + count);
        CHECK(add_delta_into(base, delta, scale, out) == 1);
        CHECK(differing(out.to(at::kFloat), want) == 0);
      }
    }
  }
}

TEST_CASE("what overflows as it is stored is counted, and stays what it is", "[kernels]") {
  const float huge = std::numeric_limits<float>::max();
  const at::Tensor base = at::zeros({kRun}).to(at::kBFloat16);
  at::Tensor reduced = at::ones({kRun}), out = at::empty_like(base);
  reduced[3] = huge;  // more than bfloat16's largest
  reduced[40] = -huge;
  reduced[70] = bits_to_float(0x7fffffffu);  // a NaN that adding to its bits would make zero
  reduced[100] = 1e-40f;                     // less than a normal number

  CHECK(add_delta_into(base, reduced, 1, out) == 3);
  CHECK(out[3].item<float>() == INFINITY);
  CHECK(out[40].item<float>() == -INFINITY);
  CHECK(std::isnan(out[70].item<float>()));
  CHECK(out[100].item<float>() == round_to_bfloat16(1e-40f));
  CHECK(out[0].item<float>() == 1);
  CHECK(add_delta_into(base, reduced, 0.5f, out) == 1);
  // Where vectors cannot be written whole.
  at::Tensor buffer = at::empty({kRun + 8}).to(at::kBFloat16), aside = buffer.slice(0, 8);
  CHECK(add_delta_into(base, reduced, 0.5f, aside) == 1);
  CHECK(at::equal(at::nan_to_num(aside), at::nan_to_num(out)));
}

TEST_CASE("a NaN is no tie of another", "[kernels]") {
  // Rounding makes one pattern of all NaN; at that threshold, ties left out, none is kept.
  const at::Tensor base = at::zeros({kRun}).to(at::kBFloat16), ones = at::ones_like(base);
  const at::Tensor nans = at::full({kRun}, 0x7fc1, at::kShort).view(at::kBFloat16);
  std::vector<DeltaTerm> terms{{.threshold = 0x7fc00000u, .tie_end = 0}, {}};
  for (DeltaTerm& term : terms) term.rounding = DType::kBFloat16;
  const DeltaRule rule{.reduce = Reduce::kMeanAgree, .rounding = DType::kBFloat16};

  CHECK(at::equal(delta_merge(base, {nans, ones}, terms, rule), at::ones({kRun})));
}

TEST_CASE("elected signs, norms and weighted sums equal the function of one element", "[kernels]") {
  constexpr int64_t kSize = kBlock + 2 * kRun + 5, kOffset = 1 << 20;
  std::vector<at::Tensor> all = difficult_tensors(kSize, 5);
  for (at::Tensor& tensor : all)
    tensor = at::nan_to_num(tensor.to(at::kFloat), 1, 2, -2).to(tensor.scalar_type());
  const auto values = columns(all);
  const std::vector<at::Tensor> experts(all.begin() + 1, all.end());
  const auto terms = varied_terms(4, kOffset + 3000, DType::kFloat32);

  for (const auto elect : {Elect::kMass, Elect::kCount}) {
    int64_t signs = 0;
    for (size_t j = 0; j < values[0].size(); ++j)
      signs += static_cast<int64_t>(vote_sign(count_votes(
          4,
          [&](int i) {
            const auto k = static_cast<size_t>(i);
            return term_element(values[k + 1][j], values[0][j], terms[k],
                                kOffset + static_cast<int64_t>(j));
          },
          elect)));
    CHECK(elected_sign_sum(all[0], experts, terms, elect, kOffset) == signs);
  }
  double norm = 0;
  for (size_t j = 0; j < values[0].size(); ++j)
    norm += std::fabs(static_cast<double>(
        delta_element(values[2][j], values[0][j], terms[1], kOffset + static_cast<int64_t>(j))));
  CHECK(delta_l1_norms(all[0], all[2], terms[1], kOffset).left == Approx(norm).epsilon(1e-12));

  const std::vector<double> weights{.3, -.2, 1, .5, .7};
  for (const DType rounding : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
    for (const bool equal : {false, true})
      for (const double divisor : {1.0, 1.7}) {
        if (equal && divisor != 1) continue;
        std::vector<float> factors, want;
        for (const double weight : weights)
          factors.push_back(round_to(static_cast<float>(weight), rounding));
        for (size_t j = 0; j < values[0].size(); ++j)
          want.push_back(weighted_sum_element(
              5, [&](int i) { return values[static_cast<size_t>(i)][j]; }, factors.data(), equal,
              round_to(static_cast<float>(divisor), rounding), rounding));
        const at::Tensor got = equal ? scaled_sum(all, weights[0], rounding)
                                     : weighted_sum(all, weights, rounding, divisor);
        CHECK(differing(got, want) == 0);
      }
}

TEST_CASE("the parts of a tensor give what the whole gives", "[kernels]") {
  const int64_t size = 3 * kBlock + 77, cut = kBlock + 64;
  const std::vector<at::Tensor> all = difficult_tensors(size, 4);
  const auto part = [&](const at::Tensor& t, int i) {
    return i == 0 ? t.narrow(0, 0, cut) : t.narrow(0, cut, size - cut);
  };
  const auto parts = [&](int i) {
    return std::vector<at::Tensor>{part(all[1], i), part(all[2], i), part(all[3], i)};
  };
  const std::vector<at::Tensor> experts(all.begin() + 1, all.end());
  const auto terms = varied_terms(3, cut + 9, DType::kFloat32);
  const DeltaRule rule{.reduce = Reduce::kMeanAgree, .tie_sign = 1};

  const at::Tensor whole = delta_merge(all[0], experts, terms, rule);
  const at::Tensor joined = at::cat({delta_merge(part(all[0], 0), parts(0), terms, rule),
                                     delta_merge(part(all[0], 1), parts(1), terms, rule, cut)});
  CHECK(at::equal(at::nan_to_num(joined), at::nan_to_num(whole)));
  CHECK(elected_sign_sum(part(all[0], 0), parts(0), terms, Elect::kMass) +
            elected_sign_sum(part(all[0], 1), parts(1), terms, Elect::kMass, cut) ==
        elected_sign_sum(all[0], experts, terms, Elect::kMass));

  const uint32_t bits = magnitude_bits(0.25f - value_of(at::zeros({1}), 0));
  const int64_t ties = find_tie_end(all[0], all[2], {}, bits, int64_t{1} << 40).found;
  REQUIRE(ties > 10);
  for (const int64_t wanted : {int64_t{0}, ties / 2, ties - 1}) {
    const TieEnd expected = find_tie_end(all[0], all[2], {}, bits, wanted);
    const TieEnd first = find_tie_end(part(all[0], 0), part(all[2], 0), {}, bits, wanted);
    if (first.found < wanted || first.end == DeltaTerm{}.tie_end)
      CHECK(
          find_tie_end(part(all[0], 1), part(all[2], 1), {}, bits, wanted - first.found, cut).end ==
          expected.end);
    else
      CHECK(first.end == expected.end);
  }
}

TEST_CASE("results are written in any dtype, rounded once, over an operand too", "[kernels]") {
  const std::vector<at::Tensor> all{noise({kRun + 3}, 1), noise({kRun + 3}, 2)};
  for (const auto type : kMixedTypes) {
    at::Tensor out = at::empty({kRun + 3}, type), sum = at::empty({kRun + 3}, type);
    delta_merge_into(all[0], {all[1]}, {{.weight = 0.3f}}, {}, out);
    weighted_sum_into(all, {.5, .25}, sum);
    CHECK(at::equal(out.to(at::kFloat),
                    delta_merge(all[0], {all[1]}, {{.weight = 0.3f}}, {}).to(type).to(at::kFloat)));
    CHECK(at::equal(sum.to(at::kFloat), weighted_sum(all, {.5, .25}).to(type).to(at::kFloat)));
    // As stored in one dtype, or read in one and written in another.
    for (const at::Tensor& base : {all[0].to(type), all[0]}) {
      at::Tensor reduced = at::empty({kRun + 3}, at::kFloat), again = at::empty_like(out);
      delta_merge_into(base, {all[1]}, {{.weight = 0.3f}}, {.scale = 0.7f}, out, 0, &reduced);
      add_delta_into(base, reduced, 0.7f, again);
      CHECK(at::equal(again.to(at::kFloat), out.to(at::kFloat)));
      CHECK(at::equal(reduced, 0.3f * (all[1] - base.to(at::kFloat))));
      // One result overflows, one was infinite before.
      reduced[5] = std::numeric_limits<float>::max();
      reduced[kRun] = INFINITY;
      CHECK(add_delta_into(base, reduced, 1, again) == (again.itemsize() > 2 ? 1 : 2));
      CHECK(count_nonfinite(again) == (again.itemsize() > 2 ? 1 : 2));
      CHECK(delta_merge_into(base, {reduced + base.to(at::kFloat)}, {{}}, {}, again) ==
            count_nonfinite(again));
    }
  }
  at::Tensor base = all[0].clone();
  delta_merge_into(base, {all[1]}, {{}}, {}, base);
  CHECK(at::equal(base, delta_merge(all[0], {all[1]}, {{}}, {})));
}
