// What a method needs is asked of a set's models before anything runs. Of shapes test_run_sweep.cpp
// has the refusal.
#include <ATen/ATen.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/sweep/plan.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("the planner refuses every need that the set does not meet", "[sweep]") {
  const TemporaryFolder folder;
  ResolvedSweep sweep;
  ExpertSet set;
  for (const char* name : {"a", "b"}) {
    const Json origin = {{"recipe_hash", "x"}, {"init", "random"}, {"seed", *name}};
    write_checkpoint(folder.path() / name, {{"w", at::ones({2})}}, {{}, origin, "", {}}, false);
    write_file(folder.path() / name / "tokenizer.json", name);
    SweepModel model{.name = name, .role = "expert", .checkpoint = nullptr, .trained_on = {}};
    model.checkpoint = Checkpoint::open(folder.path() / name);
    sweep.models.emplace(name, std::move(model));
    set.experts.emplace_back(name);
  }
  const auto unmet = [&](const Needs& needs) {
    return sweep.unmet_need(set, needs).value_or("none");
  };

  CHECK(unmet({.same_initialization = false}) == "none");
  CHECK_THAT(unmet({.base = true}), Contains("base"));
  CHECK_THAT(unmet({.min_experts = 3}), Contains("at least 3"));
  CHECK_THAT(unmet({.calibration_inputs = true}), Contains("calibration data"));
  CHECK_THAT(unmet({.calibration_labels = true}), Contains("with labels"));
  CHECK_THAT(unmet({}), Contains("one initialisation") && Contains("seed 97"));
  CHECK_THAT(unmet({.gradients = true}), Contains("gradients"));
  CHECK_THAT(unmet({.tokenizer = true}), Contains("one tokenizer") && Contains("differ"));
}
