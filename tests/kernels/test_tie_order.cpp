#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "harness/core/rng.h"
#include "harness/kernels/mergekit/introsort.h"
#include "harness/kernels/mergekit/tie_order.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

/// The places of the ties among the first `kept` after a whole std::sort.
template <typename Key>
std::vector<int64_t> sorted_ties(const std::vector<Key>& keys, Key tie, size_t kept) {
  std::vector<std::pair<Key, int64_t>> all;
  for (const Key key : keys) all.emplace_back(key, static_cast<int64_t>(all.size()));
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first > b.first; });
  std::vector<int64_t> ties;
  for (size_t i = 0; i < kept; ++i)
    if (all[i].first == tie) ties.push_back(all[i].second);
  std::sort(ties.begin(), ties.end());
  return ties;
}

/// The places of the bits that are set.
std::vector<int64_t> places_of(const std::vector<uint64_t>& bits) {
  std::vector<int64_t> places;
  for (size_t place = 0; place < 64 * bits.size(); ++place)
    if ((bits[place / 64] >> place % 64 & 1) != 0) places.push_back(static_cast<int64_t>(place));
  return places;
}

/// Compares for the key at place `kept` - 1.
void check_against_sort(std::vector<uint16_t> keys, size_t kept) {
  std::vector<uint16_t> descending = keys;
  std::sort(descending.rbegin(), descending.rend());
  const uint16_t tie = descending[kept - 1];
  const std::vector<int64_t> expected = sorted_ties(keys, tie, kept);
  INFO(keys.size() << " keys, " << kept << " kept");
  std::vector<uint32_t> places;
  for (size_t place = 0; place < keys.size(); ++place)
    if (keys[place] == tie) places.push_back(static_cast<uint32_t>(place));
  CHECK(places_of(IntrosortTies<uint16_t>(keys, tie, places).among_first(kept)) == expected);
}

}  // namespace

TEST_CASE("the ties that introsort puts first are found without a sort", "[kernels]") {
  Rng rng(0, "introsort ties");
  for (int repeat = 0; repeat < 300; ++repeat) {
    const auto size = static_cast<size_t>(1 + rng.below(repeat % 10 == 0 ? 20000 : 60));
    const int64_t distinct = 1 + rng.below(repeat % 2 == 0 ? 4 : 200);
    std::vector<uint16_t> keys(size);
    for (uint16_t& key : keys) key = static_cast<uint16_t>(rng.below(distinct));
    if (repeat % 7 == 0) std::sort(keys.begin(), keys.end());
    check_against_sort(keys, 1 + static_cast<size_t>(rng.below(static_cast<int64_t>(size))));
  }
}

TEST_CASE("many keys, many of them different, of which no or one side is to be parted",
          "[kernels]") {
  Rng rng(0, "introsort sides");
  for (const size_t size : {2048, 2049, 4097, 8193}) {
    std::vector<uint16_t> rising(size);
    std::iota(rising.begin(), rising.end(), uint16_t{0});
    const std::vector<uint16_t> falling(rising.rbegin(), rising.rend());
    for (const size_t kept : {size_t{1}, size / 4, size / 2, size - 1, size}) {
      check_against_sort(rising, kept);
      check_against_sort(falling, kept);
    }
  }
  for (int repeat = 0; repeat < 200; ++repeat) {
    const auto size = static_cast<size_t>(2048 + rng.below(10000));
    const int64_t distinct = int64_t{1} << (4 + repeat % 12);
    std::vector<uint16_t> keys(size);
    for (uint16_t& key : keys) key = static_cast<uint16_t>(rng.below(distinct));
    check_against_sort(keys, 1 + static_cast<size_t>(rng.below(static_cast<int64_t>(size))));
  }
}

TEST_CASE("many keys as task vectors have them, up to large shares of few values", "[kernels]") {
  Rng rng(0, "introsort vectors");
  for (int repeat = 0; repeat < 12; ++repeat) {
    const auto size = static_cast<size_t>(100'000 + rng.below(100'000));
    const float grid = repeat % 3 == 0 ? 0 : 0.02f * static_cast<float>(1 << repeat % 5);
    std::vector<uint16_t> keys(size);
    for (uint16_t& key : keys) {
      float value = 0;
      for (int i = 0; i < 4; ++i) value += static_cast<float>(rng.uniform()) - 0.5f;
      if (grid > 0) value = std::round(value / grid) * grid;
      key = static_cast<uint16_t>(magnitude_bits(round_to_bfloat16(value)) >> 16);
    }
    for (const double share : {0.003, 0.2, 0.5, 0.97})
      check_against_sort(keys, static_cast<size_t>(share * static_cast<double>(size)));
  }
}

TEST_CASE("keys that part badly, for which introsort goes over to heaps, too", "[kernels]") {
  constexpr size_t kHalf = 500;
  std::vector<uint16_t> keys(2 * kHalf);  // a median-of-three killer
  for (size_t i = 1; i <= kHalf; ++i) {
    if (i % 2 == 1) {
      keys[i - 1] = static_cast<uint16_t>(i);
      keys[i] = static_cast<uint16_t>(kHalf + i);
    }
    keys[kHalf + i - 1] = static_cast<uint16_t>(2 * i);
  }
  for (uint16_t& key : keys) key = static_cast<uint16_t>((4 * kHalf - key) / 3);
  for (size_t kept = 1; kept <= keys.size(); kept += 37) check_against_sort(keys, kept);
}

TEST_CASE("ties are kept where their bit is set", "[kernels]") {
  // Deltas of one expert: 1, 2, 1, 1, 3; kept are 2 and 3 and of the ones the last.
  const at::Tensor base = at::zeros({5}), expert = at::tensor({1.0f, 2.0f, 1.0f, 1.0f, 3.0f});
  const uint64_t kept[] = {0b01000, 0b00101};
  const DeltaTerm term{.threshold = magnitude_bits(1.0f), .keep_mask = kept, .weight = 5};

  CHECK(at::equal(delta_merge(base, {expert}, {term}, {}),
                  at::tensor({0.0f, 10.0f, 0.0f, 5.0f, 15.0f})));
  CHECK(at::equal(delta_merge(base, {expert}, {term}, {}, /*offset=*/64),
                  at::tensor({5.0f, 10.0f, 5.0f, 0.0f, 15.0f})));
}

TEST_CASE("magnitudes are fed part by part", "[kernels]") {
  const at::Tensor base = at::zeros({256}).to(at::kBFloat16);
  const at::Tensor expert = at::arange(256).remainder(8).to(at::kBFloat16);
  const auto select = [&](DType rounding, int64_t part, int64_t kept) {
    TieOrder order(256, kept, rounding);
    DeltaTerm term;
    term.rounding = rounding;
    for (int64_t at = 256 - part; at >= 0; at -= part)
      order.feed(base.slice(0, at, at + part), expert.slice(0, at, at + part), term, at);
    return order.select();
  };

  const TieOrder::Selection whole = select(DType::kBFloat16, 256, 36);
  CHECK(whole.bits == magnitude_bits(6.0f));
  CHECK_FALSE(whole.all_ties);
  CHECK(places_of(whole.keep_mask).size() == 4);  // after 32 sevens
  CHECK(select(DType::kBFloat16, 64, 36).keep_mask == whole.keep_mask);
  CHECK(select(DType::kFloat32, 128, 36).bits == whole.bits);
  CHECK(select(DType::kFloat32, 128, 36).keep_mask == whole.keep_mask);
  CHECK(select(DType::kBFloat16, 256, 64).all_ties);
  CHECK(select(DType::kBFloat16, 256, 240).all_ties);  // zeros
}

TEST_CASE("the last that is kept is found among many, too", "[kernels]") {
  constexpr int64_t kSize = 600'013;
  Rng rng(0, "many magnitudes");
  at::Tensor values = at::empty({kSize}), starts = at::empty({kSize});
  for (int64_t i = 0; i < kSize; ++i) {
    values.mutable_data_ptr<float>()[i] = static_cast<float>(rng.uniform());
    starts.mutable_data_ptr<float>()[i] = static_cast<float>(rng.uniform()) - 0.5f;
  }
  const auto bf16 = [](const at::Tensor& t) { return t.to(at::kBFloat16); };
  // Deltas such that all in the sample are greater or smaller than most: a guess that misleads.
  const auto misleading = [&](float delta) {
    at::Tensor changed = values.clone();
    const at::Tensor base = bf16(starts).to(at::kFloat);
    for (int64_t at = 0; at < kSize; at += kSize / 128) {
      const int64_t end = std::min(at + 256, kSize);
      changed.slice(0, at, end).copy_(base.slice(0, at, end) + delta);
    }
    return changed;
  };
  struct Models {
    at::Tensor base, expert;
    DeltaTerm term;
  };
  // Both in bfloat16 and nothing but rounded; a float32 base; what is dropped at random. Rounded to
  // bfloat16 or float32.
  const DeltaTerm plain, dropped{.drop = 0.1f, .key = 3};
  for (Models models :
       {Models{bf16(starts), bf16(values), plain}, Models{starts, bf16(values), plain},
        Models{bf16(starts), bf16(values), dropped},
        Models{bf16(starts), bf16(misleading(4)), plain},
        Models{bf16(starts), bf16(misleading(0)), plain}})
    for (const DType rounding : {DType::kBFloat16, DType::kFloat32}) {
      models.term.rounding = rounding;
      const auto& [base, expert, term] = models;
      std::vector<uint32_t> keys;
      const at::Tensor from = base.to(at::kFloat), to = expert.to(at::kFloat);
      for (int64_t i = 0; i < kSize; ++i)
        keys.push_back(magnitude_bits(delta_element(to.const_data_ptr<float>()[i],
                                                    from.const_data_ptr<float>()[i], term, i)));
      const size_t kept = 200'000;
      std::vector<uint32_t> descending = keys;
      std::sort(descending.rbegin(), descending.rend());
      const uint32_t tie = descending[kept - 1];
      const std::vector<int64_t> expected = sorted_ties(keys, tie, kept);
      const bool all_ties = descending[kept] != tie;

      TieOrder order(kSize, static_cast<int64_t>(kept), rounding);
      order.feed(base.slice(0, 0, 65'536), expert.slice(0, 0, 65'536), term, 0);
      order.feed(base.slice(0, 65'536), expert.slice(0, 65'536), term, 65'536);
      const TieOrder::Selection selected = order.select();
      CHECK(selected.bits == tie);
      REQUIRE(selected.all_ties == all_ties);
      if (!all_ties) CHECK(places_of(selected.keep_mask) == expected);
    }
}

TEST_CASE("keys in a scratch file are sorted as those in memory", "[kernels]") {
  constexpr int64_t kSize = 5'000'000;  // several windows
  const TemporaryFolder folder;
  Rng rng(0, "keys in a file");
  at::Tensor expert = at::empty({kSize});
  for (int64_t i = 0; i < kSize; ++i)
    expert.mutable_data_ptr<float>()[i] = static_cast<float>(rng.uniform());
  for (const DType rounding : {DType::kBFloat16, DType::kFloat32}) {
    const at::Tensor stored = expert.to(at::kBFloat16), base = at::zeros_like(stored);
    DeltaTerm term;
    term.rounding = rounding;
    for (const int64_t kept : {kSize / 1000, kSize / 3, kSize / 10 * 9}) {
      const auto select = [&](const std::filesystem::path& scratch) {
        TieOrder order(kSize, kept, rounding, scratch);
        for (int64_t at = 0; at < kSize; at += 1 << 20) {
          const int64_t end = std::min<int64_t>(kSize, at + (1 << 20));
          order.feed(base.slice(0, at, end), stored.slice(0, at, end), term, at);
        }
        return order.select();
      };
      const TieOrder::Selection in_memory = select({}), in_file = select(folder.path());
      CAPTURE(kept);
      CHECK(in_file.bits == in_memory.bits);
      CHECK_FALSE(in_file.all_ties);
      CHECK(in_file.keep_mask == in_memory.keep_mask);
    }
  }
}

TEST_CASE("where the last that is kept is zero, all zeros are", "[kernels]") {
  constexpr int64_t kSize = 200'000, kOthers = 80'000;
  at::Tensor expert = at::zeros({kSize}).to(at::kBFloat16);
  expert.view({-1, 5}).narrow(1, 0, 2).fill_(1);  // two of five
  const at::Tensor base = at::zeros_like(expert);
  DeltaTerm term;
  term.rounding = DType::kBFloat16;
  for (const int64_t kept : {kOthers - 1, kOthers, kOthers + 1, kSize}) {
    TieOrder order(kSize, kept, DType::kBFloat16);
    order.feed(base, expert, term, 0);
    const TieOrder::Selection selected = order.select();
    CAPTURE(kept);
    CHECK(selected.bits == (kept > kOthers ? 0 : magnitude_bits(1)));
    CHECK(selected.all_ties == (kept >= kOthers));
    CHECK(std::ssize(places_of(selected.keep_mask)) == (kept < kOthers ? kept : 0));
  }
}
