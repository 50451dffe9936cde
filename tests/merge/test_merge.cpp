#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Two experts and a base with tensors "a" [2] and "b" [3], and a counter.
struct Models {
  StateDict base{{"a", at::zeros({2})}, {"b", at::ones({3})}, {"steps", at::tensor({7})}};
  StateDict first{{"a", at::ones({2})}, {"b", at::ones({3})}, {"steps", at::tensor({8})}};
  StateDict second{{"a", 3 * at::ones({2})}, {"b", at::ones({3})}, {"steps", at::tensor({9})}};

  MergeInputs inputs() const {
    MergeInputs out;
    out.base = source("base.safetensors", base);
    out.experts = {source("first.safetensors", first), source("second.safetensors", second)};
    return out;
  }
  std::string error(const std::string& ref = "average") const {
    try {
      merge(ref, Json::object(), inputs());
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  }
};

}  // namespace

TEST_CASE("integer tensors are copied from the base, or else from the first expert", "[merge]") {
  MergeInputs inputs = Models{}.inputs();
  CHECK(merge("average", Json::object(), inputs).at("steps").item<int64_t>() == 7);
  CHECK(at::equal(merge("average", Json::object(), inputs).at("a"), 2 * at::ones({2})));

  inputs.base = nullptr;
  CHECK(merge("average", Json::object(), inputs).at("steps").item<int64_t>() == 8);
}

TEST_CASE("a missing, extra or misshapen tensor is named, with its model", "[merge]") {
  Models models;
  models.second.erase("b");
  CHECK_THAT(models.error(),
             Contains("second.safetensors") && Contains("'b'") && Contains("missing"));

  models = {};
  models.first["c"] = at::ones({1});
  CHECK_THAT(models.error(), Contains("first.safetensors") && Contains("'c'"));

  models = {};
  models.second["b"] = at::ones({3, 1});
  CHECK_THAT(models.error(), Contains("second.safetensors") && Contains("'b'") &&
                                 Contains("[3, 1]") && Contains("[3]"));

  models = {};
  models.second["b"] = at::ones({3}, at::kLong);
  CHECK_THAT(models.error(),
             Contains("second.safetensors") && Contains("int64") && Contains("float32"));

  models = {};
  models.base["b"] = at::ones({3}, at::kComplexFloat);
  CHECK_THAT(models.error(), Contains("base.safetensors") && Contains("'b'"));
}

TEST_CASE("NaN and infinity in an input are named, with model and tensor", "[merge]") {
  Models models;
  models.second["b"] = at::tensor({1.0f, NAN, INFINITY});
  CHECK_THAT(models.error(),
             Contains("second.safetensors") && Contains("'b'") && Contains("2 NaN"));

  models = {};
  models.base["a"] = at::tensor({-INFINITY, 0.0f});
  CHECK_THAT(models.error("ties"), Contains("base.safetensors") && Contains("'a'"));
  // A method that does not need the base does not read it.
  CHECK(models.error("average") == "no DataError");
}

TEST_CASE("a result that overflows its dtype is named", "[merge]") {
  Models models;
  models.base["a"] = at::zeros({2}, at::kHalf);
  for (StateDict* expert : {&models.first, &models.second})
    (*expert)["a"] = at::tensor({60000.0f, 1.0f}).to(at::kHalf);
  const auto method = make_method("task_arithmetic", JsonReader({{"scale", 1}}, "test"));

  CHECK_THROWS_WITH(merge_to_memory(*method, models.inputs()),
                    Contains("'a'") && Contains("float16") && Contains("1 NaN"));
}

TEST_CASE("tensors keep their dtype unless another is asked for", "[merge]") {
  Models models;
  models.base["a"] = models.base["a"].to(at::kBFloat16);
  MergeInputs inputs = models.inputs();
  StateDict merged = merge("average", Json::object(), inputs);
  CHECK(merged.at("a").scalar_type() == at::kBFloat16);
  CHECK(merged.at("b").scalar_type() == at::kFloat);

  inputs.dtype = at::kHalf;
  merged = merge("average", Json::object(), inputs);
  CHECK(merged.at("a").scalar_type() == at::kHalf);
  CHECK(merged.at("steps").scalar_type() == at::kInt);

  inputs.dtype = at::kInt;
  CHECK_THROWS_AS(merge("average", Json::object(), inputs), UserError);
}

TEST_CASE("needs are checked in words", "[merge]") {
  const MethodInfo& ties = methods().at("ties", "test").info;
  const MethodInfo& slerp = methods().at("slerp", "test").info;

  CHECK_FALSE(unmet_need(ties.needs, {.base = true, .experts = 1}));
  CHECK_THAT(unmet_need(ties.needs, {.base = false, .experts = 2}).value_or(""), Contains("base"));
  CHECK_FALSE(unmet_need(slerp.needs, {.base = false, .experts = 2}));
  CHECK_THAT(unmet_need(slerp.needs, {.base = true, .experts = 3}).value_or(""),
             Contains("exactly 2 experts") && Contains("3"));
  CHECK_THAT(unmet_need(slerp.needs, {.base = true, .experts = 1}).value_or(""),
             Contains("exactly 2 experts") && Contains("1 is"));
  CHECK_THROWS_AS(merge("ties", Json::object(), one_tensor_inputs({}, {at::ones({1})})), SkipCell);
}

TEST_CASE("an order must name each tensor once", "[merge]") {
  MergeInputs inputs = Models{}.inputs();
  inputs.order = {"steps", "b", "a"};
  CHECK_NOTHROW(merge("average", Json::object(), inputs));
  inputs.order = {"b", "a"};
  CHECK_THROWS_AS(merge("average", Json::object(), inputs), UserError);
}

TEST_CASE("a merge reports its cost and diagnostics", "[merge]") {
  MergeReport report;
  merge("slerp", {{"t", .25}}, one_tensor_inputs({}, {at::ones({8}), at::ones({8})}), &report);

  CHECK(report.merge.wall_s.has_value());
  CHECK(report.merge.flops == 9 * 8);
  CHECK(report.statistics.flops == 0);
  CHECK(report.diagnostics.at("lerp_frac") == 1);
}

namespace {

/// Resumes the tensors that it has records of, and keeps the records of the others.
class ResumedSink : public MemorySink {
 public:
  explicit ResumedSink(std::map<std::string, Json> records = {})
      : MemorySink(at::kCPU), records_(std::move(records)) {}
  const Json* resumed(const TensorInfo& tensor) const override {
    const auto found = records_.find(tensor.name);
    return found == records_.end() ? nullptr : &found->second;
  }
  void end(const TensorInfo& tensor, const Json& record) override {
    ended[tensor.name] = Json::parse(record.dump());
  }
  std::map<std::string, Json> ended;

 private:
  std::map<std::string, Json> records_;
};

}  // namespace

TEST_CASE("a resumed merge reports of all tensors", "[merge]") {
  MergeInputs inputs;  // "a" is parallel, "b" is not, "steps" is copied
  inputs.hash = true;
  const at::Tensor steps = at::tensor({3});
  inputs.experts = {
      source("x", {{"a", at::ones({4})}, {"b", golden_base()}, {"steps", steps}}),
      source("y",
             {{"a", at::ones({4})}, {"b", matrix({1, 2, 3, 4, 5, 6, 7, 8})}, {"steps", steps}})};
  const auto method = make_method("slerp", JsonReader({{"t", .25}}, "$"));
  ResumedSink whole;
  const MergeReport expected = merge_models(*method, inputs, whole);
  CHECK(expected.diagnostics.at("lerp_frac") == 0.5);
  REQUIRE(whole.ended.size() == 3);

  for (const char* missing : {"a", "b"}) {
    std::map<std::string, Json> records = whole.ended;
    records.erase(missing);
    ResumedSink resumed(records);
    const MergeReport report = merge_models(*method, inputs, resumed);
    CHECK(resumed.ended.size() == 1);
    CHECK(report.diagnostics == expected.diagnostics);
    CHECK((report.expert_hashes == expected.expert_hashes));
  }
}

namespace {

/// Fails in an operator for tensors with a given number of elements.
struct Failing final : Method {
  static constexpr MethodInfo kInfo{.name = "failing", .paper = "", .summary = "fails"};
  const MethodInfo& info() const override { return kInfo; }
  Json parameters() const override { return Json::object(); }
  Granularity granularity() const override { return Granularity::kParts; }
  int64_t working_bytes(const TensorInfo&) const override { return 0; }
  void prepare(const ModelJob&) override {}
  std::any measure(const TensorParts&) const override { return {}; }
  at::Tensor merge(const TensorJob& job, const std::any&) const override {
    return job.experts[0].numel() == 3 ? at::mm(job.experts[0], job.experts[1]) : job.experts[0];
  }
  StateDict merge_model(const ModelJob&) const override { return {}; }
};

}  // namespace

TEST_CASE("an operator's error inside a method names method, tensor and elements", "[merge]") {
  Failing method;
  try {
    merge_to_memory(method, Models{}.inputs());
    FAIL("no error");
  } catch (const DataError& error) {
    const std::string said = error.what();
    CHECK_THAT(said, Contains("failing") && Contains("'b'") && Contains("elements 0 to 2"));
    CHECK_THAT(said, !Contains("frame #") && !Contains(".cpp:"));
  }
}
