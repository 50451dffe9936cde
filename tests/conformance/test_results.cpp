// What holds for the results of every registered method and preset, whatever it does.
#include <filesystem>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "tests/catch.h"
#include "tests/conformance/contracts.h"
#include "tests/skip.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("every method gives the same bytes on any number of threads", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  const MergeInputs inputs = mixed_inputs(ref);
  Results expected;
  {
    const Threads one(1);
    expected = merge_all(ref, Json::object(), inputs);
  }

  for (const int threads : {1, 2, 4}) {
    const Threads several(threads);
    CHECK(same_results(ref, merge_all(ref, Json::object(), inputs), expected));
  }
}

TEST_CASE("every method gives the same bytes in any order of tensors", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  MergeInputs inputs = mixed_inputs(ref);
  const Results expected = merge_all(ref, Json::object(), inputs);

  for (const auto& [name, unused] : expected.front())
    inputs.order.insert(inputs.order.begin(), name);
  CHECK(same_results(ref, merge_all(ref, Json::object(), inputs), expected));
  std::swap(inputs.order[0], inputs.order[5]);
  std::swap(inputs.order[2], inputs.order[7]);
  CHECK(same_results(ref, merge_all(ref, Json::object(), inputs), expected));
}

TEST_CASE("every method depends on the seed just when it says so", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  MergeInputs inputs = mixed_inputs(ref);
  const Results expected = merge_all(ref, Json::object(), inputs);

  inputs.seed = 43;
  CHECK(same_results(ref, merge_all(ref, Json::object(), inputs), expected) ==
        !make_method(ref, JsonReader(Json::object(), "test"))->randomized());
}

TEST_CASE(
    "every method gives the tensors that it plans, by default its inputs', and finite numbers",
    "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  const MergeInputs inputs = mixed_inputs(ref);
  check_planned(ref, inputs, merge_all(ref, Json::object(), inputs));
}

TEST_CASE("every method returns the expert that all experts are", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  const MethodInfo& info = entry_of(name).info;
  if (info.identity.empty()) return;  // it declares none
  MergeInputs inputs = mixed_inputs(name);
  const auto expert = inputs.experts.front();
  inputs.experts.assign(identical_experts(name), expert);

  check_expert(*expert, merge_all(name, Json::parse(info.identity), inputs));
}

TEST_CASE("every method merges from disk as it merges from memory", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  const MergeInputs inputs = mixed_inputs(ref);
  const auto folder =
      std::filesystem::temp_directory_path() / ("assay-conformance-" + std::to_string(getpid()));
  const auto stored = [&](const std::string& name, const TensorSource& model) {
    StateDict tensors;
    for (const TensorInfo& info : model.tensors()) tensors[info.name] = model.read(info.name);
    write_checkpoint(folder / name, tensors, {}, /*replace=*/true);
    return Checkpoint::open(folder / name);
  };

  MergeInputs from_disk = inputs;
  if (inputs.base) from_disk.base = stored("base", *inputs.base);
  for (size_t i = 0; i < inputs.experts.size(); ++i)
    from_disk.experts[i] = stored("expert" + std::to_string(i), *inputs.experts[i]);
  const bool same = same_results(ref, merge_all(ref, Json::object(), from_disk),
                                 merge_all(ref, Json::object(), inputs));
  std::filesystem::remove_all(folder);

  CHECK(same);
}

TEST_CASE("a method makes task models if, and only if, it says so", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  MergeInputs inputs = mixed_inputs(ref);
  const bool per_task = entry_of(ref).info.needs.output == Output::kModelPerTask;
  MergeReport report;
  merge(ref, Json::object(), inputs, &report);

  CHECK(report.task_bytes.has_value() == per_task);
  if (per_task) CHECK(*report.task_bytes > 0);
  inputs.task_expert = per_task ? inputs.experts.size() : 0;
  CHECK_THROWS_AS(merge(ref, Json::object(), untouchable(inputs)), UserError);
}

TEST_CASE("every method refuses NaN by model and tensor", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  CAPTURE(name);
  MergeInputs inputs = mixed_inputs(name);
  StateDict broken = model_for(name, 2);
  const std::string tensor = broken.contains("head.weight") ? "head.weight" : "lm_head.weight";
  broken[tensor] = broken[tensor].clone();
  broken[tensor][3][5] = NAN;
  inputs.experts.front() = source("broken.safetensors", broken);  // which every method reads

  CHECK_THROWS_WITH(merge(name, Json::object(), inputs),
                    Catch::Matchers::Contains("broken.safetensors") &&
                        Catch::Matchers::Contains(tensor + "'") &&
                        Catch::Matchers::Contains("NaN"));
}

TEST_CASE("every method gives on CUDA what it gives on the CPU", "[conformance][gpu]") {
  skip_without_gpu();
  for (const std::string& ref : all_refs()) {
    CAPTURE(ref);
    MergeInputs inputs = mixed_inputs(ref);
    const StateDict expected = merge(ref, Json::object(), inputs);
    inputs.device = at::Device(at::kCUDA, 0);
    for (const auto& [name, value] : merge(ref, Json::object(), inputs)) {
      CAPTURE(name);
      CHECK(value.is_cuda());
      CHECK(distance(value.cpu(), expected.at(name)) <= tolerance(value.scalar_type()));
    }
  }
}
