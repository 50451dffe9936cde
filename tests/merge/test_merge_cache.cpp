// What merges of one sweep cache, and what cached values are charged.
#include "harness/merge/merge_cache.h"

#include <c10/core/Allocator.h>
#include <fmt/format.h>

#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/merge/engine/cache_session.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// A base and four experts; 60000 elements in two tensors.
MergeInputs inputs_of(const std::vector<uint64_t>& experts, MergeCache* cache = nullptr) {
  const auto model = [](const std::string& label, uint64_t key) {
    return source(label, {{"a", noise({200, 250}, 2 * key)}, {"b", noise({10000}, 2 * key + 1)}});
  };
  MergeInputs inputs;
  inputs.seed = 7;
  inputs.base = model("base", 0);
  for (const uint64_t expert : experts)
    inputs.experts.push_back(model("expert " + std::to_string(expert), expert));
  inputs.cache = cache;
  return inputs;
}

int64_t flops_alone(const MergeReport& report) {
  return *report.statistics.flops + *report.merge.flops +
         (report.shared ? *report.shared->flops : 0);
}

/// Counts the bytes of tensors that this thread allocates.
class Allocations : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    if (bytes > 0) allocated += bytes;
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t allocated = 0;
};

}  // namespace

TEST_CASE("results that overflow are counted as they are written, shared or not",
          "[merge][cache]") {
  const at::Tensor base = at::full({3000}, 60000.0f).to(at::kHalf);
  at::Tensor expert = base.clone();
  expert.slice(0, 100, 107).fill_(65000.0f);  // twice the change is beyond float16
  MergeCache cache;
  const auto merge_with = [&](double scale, MergeCache* with) -> std::string {
    MergeInputs inputs;
    inputs.base = source("base", {{"w", base}});
    inputs.experts = {source("one", {{"w", expert}}), source("two", {{"w", expert}})};
    inputs.cache = with;
    try {
      merge("task_arithmetic", {{"scale", scale}}, inputs);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  const auto counts = Catch::Matchers::Contains("7 NaN or infinite values among 3000");

  CHECK_THAT(merge_with(1, nullptr), counts);
  CHECK_THAT(merge_with(1, &cache), counts);
  CHECK(merge_with(0.1, &cache).empty());
  CHECK_THAT(merge_with(1, &cache), counts);
}

TEST_CASE("a later merge reuses what an earlier one computed, and is charged for it",
          "[merge][cache]") {
  for (const char* ref : {"ties", "ties@tensor", "ties@mergekit", "dare@mergekit", "dare"}) {
    CAPTURE(ref);
    const Json density = std::string(ref).starts_with("ties") ? Json{{"density", 0.3}}
                         : std::string(ref) == "dare"         ? Json{{"drop", 0.9}}
                                                              : Json::object();
    Json other_scale = density;
    other_scale["scale"] = 0.7;
    MergeCache cache;
    MergeReport alone, first, second;
    merge(ref, other_scale, inputs_of({1, 2, 3}), &alone);
    merge(ref, density, inputs_of({1, 2, 3}, &cache), &first);
    const StateDict merged = merge(ref, other_scale, inputs_of({1, 2, 3}, &cache), &second);

    CHECK_FALSE(alone.shared);
    CHECK_FALSE(first.shared);
    REQUIRE(second.shared);
    CHECK(*second.shared->wall_s > 0);
    CHECK(flops_alone(first) == flops_alone(alone));
    CHECK(flops_alone(second) == flops_alone(alone));
    CHECK(*second.statistics.flops + *second.merge.flops <
          *first.statistics.flops + *first.merge.flops);
    CHECK(same_bytes(merged, merge(ref, other_scale, inputs_of({1, 2, 3}))));
  }
}

TEST_CASE("small tensors are merged concurrently and share and cost what they do one by one",
          "[merge][cache]") {
  const bool peaks = Meter().stop().peak_rss_bytes.has_value();
  for (const char* ref : {"task_arithmetic", "ties", "ties@tensor", "dare", "dare@mergekit"}) {
    CAPTURE(ref);
    StateDict alone;
    int64_t flops = 0;
    for (const int count : {1, 4}) {
      CAPTURE(count);
      const Threads threads(count);
      MergeCache cache;
      MergeInputs inputs;
      inputs.seed = 7;
      inputs.cache = &cache;
      const auto model = [](const std::string& label, uint64_t key) {
        StateDict tensors;
        for (uint64_t i = 0; i < 150; ++i)  // each far less than a thread's share
          tensors[fmt::format("layer {}", i)] = noise({3000}, 1000 * key + i).to(at::kBFloat16);
        return source(label, std::move(tensors));
      };
      inputs.base = model("base", 1);
      for (const uint64_t key : {2, 3, 4})
        inputs.experts.push_back(model("expert " + std::to_string(key), key));
      MergeReport first, second;
      merge(ref, Json::object(), inputs, &first);
      const StateDict merged = merge(ref, {{"scale", 0.7}}, inputs, &second);

      if (count == 1) alone = merged;
      CHECK(same_bytes(merged, alone));
      REQUIRE(second.shared);
      const int64_t counted = flops_alone(second);
      CHECK(counted == flops_alone(first));
      if (count == 1) flops = counted;
      CHECK(counted == flops);
      // Meters of concurrent threads know no peak; those of prepare() do.
      const bool concurrent = count > 1 && !std::string(ref).starts_with("ties");
      CHECK(second.shared->peak_rss_bytes.has_value() == (peaks && !concurrent));
      // A thread's share of the time: all shares are no more than what passed.
      CHECK(*second.shared->wall_s > 0);
      CHECK(*second.shared->wall_s <= *first.statistics.wall_s + *first.merge.wall_s);
    }
  }
}

TEST_CASE("values of one expert are shared among sets of experts", "[merge][cache]") {
  const Json parameters{{"density", 0.3}, {"elect.tie", "zero"}};
  MergeCache cache;
  MergeReport report;
  merge("ties", parameters, inputs_of({1, 2, 3}, &cache));

  const StateDict merged = merge("ties", parameters, inputs_of({4, 3, 2}, &cache), &report);

  // Two of three thresholds were known.
  REQUIRE(report.shared);
  CHECK(*report.shared->flops == 2 * *report.statistics.flops);
  CHECK(same_bytes(merged, merge("ties", parameters, inputs_of({4, 3, 2}))));
}

TEST_CASE("inner products are shared pair by pair, in either order", "[merge][cache]") {
  MergeCache cache;
  MergeReport report;
  merge("slerp", {{"t", 0.5}}, inputs_of({1, 2}, &cache));

  const StateDict merged = merge("slerp", {{"t", 0.3}}, inputs_of({2, 1}, &cache), &report);

  // 60000 elements, a multiplication and an addition for each of three pairs.
  REQUIRE(report.shared);
  CHECK(*report.shared->flops == 60000 * 2 * 3);
  CHECK(same_bytes(merged, merge("slerp", {{"t", 0.3}}, inputs_of({2, 1}))));
}

TEST_CASE("nothing is shared between other contents, seeds or parameters", "[merge][cache]") {
  MergeCache cache;
  const Json parameters{{"density", 0.3}, {"drop", 0.5}};
  merge("dare_ties", parameters, inputs_of({1, 2, 3}, &cache));
  MergeReport report;
  const auto same_as_alone = [&](const Json& changed, MergeInputs inputs) {
    inputs.cache = &cache;
    const StateDict merged = merge("dare_ties", changed, inputs, &report);
    inputs.cache = nullptr;
    return same_bytes(merged, merge("dare_ties", changed, inputs));
  };

  Json density = parameters, drop = parameters;
  density["density"] = 0.4;
  drop["drop"] = 0.6;
  for (const Json& changed : {density, drop}) {
    CHECK(same_as_alone(changed, inputs_of({1, 2, 3})));
    CHECK_FALSE(report.shared);
  }
  MergeInputs other_seed = inputs_of({1, 2, 3});
  other_seed.seed = 8;
  CHECK(same_as_alone(parameters, other_seed));
  CHECK_FALSE(report.shared);
  MergeInputs other_base = inputs_of({1, 2, 3});
  other_base.base = inputs_of({4}).experts.front();
  CHECK(same_as_alone(parameters, other_base));
  CHECK_FALSE(report.shared);
}

TEST_CASE("a model with a value that is not finite is refused by every merge", "[merge][cache]") {
  MergeCache cache;
  MergeInputs inputs = inputs_of({1, 2}, &cache);
  at::Tensor broken = noise({10000}, 5).clone();
  broken[4321] = NAN;
  inputs.experts.push_back(source("broken", {{"a", noise({200, 250}, 6)}, {"b", broken}}));

  for (int repeat = 0; repeat < 2; ++repeat)
    CHECK_THROWS_WITH(
        merge("average", Json::object(), inputs),
        Catch::Matchers::Contains("broken: tensor 'b' holds 1 NaN or infinite value among 10000"));
  CHECK_NOTHROW(merge("average", Json::object(), inputs_of({1, 2}, &cache)));
}

TEST_CASE("merges into one sink allocate no tensor after the first", "[merge][cache]") {
  MergeCache cache;
  const MergeInputs inputs = inputs_of({1, 2, 3}, &cache);
  MemorySink sink(at::kCPU);
  const auto counter = std::make_shared<Allocations>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  const auto merge_once = [&](const char* ref, const Json& parameters) {
    counter->allocated = 0;
    merge_models(*make_method(ref, JsonReader(parameters, "test")), inputs, sink);
    return counter->allocated;
  };

  // The model, and buffers for the cached task vector.
  CHECK(merge_once("task_arithmetic", Json::object()) == 4 * (60000 + 50000 + 10000));
  const void* place = sink.tensors().at("a").const_data_ptr();
  CHECK(merge_once("task_arithmetic", {{"scale", 0.5}}) == 0);
  CHECK(merge_once("ties", Json::object()) == 0);
  CHECK(merge_once("ties", {{"scale", 0.5}}) == 0);
  CHECK(merge_once("dare", Json::object()) == 0);
  CHECK(sink.tensors().at("a").const_data_ptr() == place);
}

TEST_CASE("the cache stays below its bound: least recently used values are evicted first",
          "[merge][cache]") {
  MergeCache cache(3000);
  const auto keep = [&](const char* key) { cache.insert(key, {1.0, {}}, 500); };
  keep("a");
  keep("b");
  keep("c");
  CHECK(cache.find("a"));
  keep("d");

  CHECK(cache.bytes() <= 3000);
  CHECK_FALSE(cache.find("b"));
  for (const char* key : {"a", "c", "d"}) CHECK(cache.find(key));
  cache.insert("large", {1.0, {}}, 5000);
  CHECK(cache.bytes() == 0);
}

TEST_CASE("values computed together cost equal parts that add up", "[merge][cache]") {
  MergeCache cache;
  const auto measure = [](const std::function<void()>& work) {
    work();
    return Cost{.wall_s = 3.0, .flops = 10};
  };
  const auto squares = [](CacheSession& session, const std::vector<std::string>& keys) {
    std::vector<int64_t> values;
    const auto compute = [](const std::vector<size_t>& missing) {
      std::vector<CachedValue> computed;
      for (const size_t i : missing) computed.push_back({static_cast<int64_t>(i * i), 8});
      return computed;
    };
    for (const std::any& value : session.get(keys, compute))
      values.push_back(std::any_cast<int64_t>(value));
    return values;
  };
  CacheSession first(&cache, "", {}, measure);
  CHECK(squares(first, {"0", "1", "2"}) == std::vector<int64_t>{0, 1, 4});
  CHECK_FALSE(first.reused());

  CacheSession one(&cache, "", {}, measure), all(&cache, "", {}, measure);
  CHECK(squares(one, {"x", "1"}) == std::vector<int64_t>{0, 1});
  CHECK(*one.reused()->flops == 3);
  CHECK(*one.reused()->wall_s == Approx(1.0));
  CHECK(squares(all, {"2", "1", "0"}) == std::vector<int64_t>{4, 1, 0});
  CHECK(*all.reused()->flops == 10);
  CHECK(*all.reused()->wall_s == Approx(3.0));
  CHECK_FALSE(all.reused()->device_s);
}
