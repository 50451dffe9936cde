// What TensorJob and TensorParts do with an engine behind them, and without.
#include <ATen/ATen.h>

#include "harness/method/engine_handle.h"
#include "tests/catch.h"

using namespace assay;

namespace {

/// Has a result buffer in bfloat16 and notes what is reported.
struct RecordingEngine final : EngineHandle {
  at::Tensor buffer = at::zeros({4}, at::kBFloat16);
  int64_t nonfinite = -1;
  std::string reported;

  uint64_t expert_key(size_t expert) const override { return 7 + expert; }
  at::Tensor result_buffer() const override { return buffer; }
  void report_nonfinite(int64_t count) override { nonfinite = count; }
  void report(const std::string& name, double) override { reported = name; }
};

void set_tensors(TensorJob& job) {
  job.base = at::zeros({4}, at::kHalf);
  job.experts = {at::ones({4}, at::kHalf)};
}

/// Squares of the positions of all keys, and which were computed.
std::vector<int64_t> squares(const TensorParts& tensor, const std::vector<std::string>& keys,
                             std::vector<size_t>& computed) {
  return tensor.cached<int64_t>(keys, [&](const std::vector<size_t>& missing) {
    computed = missing;
    std::vector<int64_t> values;
    for (const size_t i : missing) values.push_back(static_cast<int64_t>(i * i));
    return values;
  });
}

}  // namespace

TEST_CASE("a job without an engine allocates its result, drops reports and caches nothing",
          "[method]") {
  TensorJob job;
  set_tensors(job);

  CHECK(job.result().scalar_type() == at::kFloat);
  CHECK(job.result().sizes() == job.base.sizes());
  CHECK(job.result(at::kHalf).scalar_type() == at::kHalf);
  CHECK_NOTHROW(job.report("share", .5));
  CHECK_NOTHROW(job.report_nonfinite(1));
  CHECK(job.expert_key(0) != job.expert_key(1));
  CHECK_FALSE(job.caches());
  const auto compute = [](at::Tensor&) { FAIL("there is no buffer"); };
  CHECK_FALSE(job.cached_part("key", 4, compute).defined());
}

TEST_CASE("a job's result is the engine's buffer where the dtype is the same", "[method]") {
  const auto engine = std::make_shared<RecordingEngine>();
  TensorJob job("w", engine);
  set_tensors(job);

  CHECK(job.result().is_same(engine->buffer));
  CHECK(job.result(at::kBFloat16).is_same(engine->buffer));
  CHECK(job.result(at::kHalf).scalar_type() == at::kHalf);
  job.report("share", .5);
  job.report_nonfinite(3);
  CHECK(engine->reported == "share");
  CHECK(engine->nonfinite == 3);
  CHECK(job.expert_key(1) == 8);
}

TEST_CASE("without a cache all values are computed, each time", "[method]") {
  const TensorParts tensor(TensorJob(), 1, 4, at::kFloat, {}, [](const TensorParts::Body&) {});
  std::vector<size_t> computed;

  for (int repeat = 0; repeat < 2; ++repeat) {
    computed.clear();
    CHECK(squares(tensor, {"a", "b", "c"}, computed) == std::vector<int64_t>{0, 1, 4});
    CHECK(computed == std::vector<size_t>{0, 1, 2});
  }
  computed.clear();
  CHECK(squares(tensor, {}, computed).empty());
  CHECK(computed.empty());
  CHECK(tensor.delta_key(0).empty());
  CHECK(tensor.pair_key(0, 0).empty());
}
