#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("a stop string must not be empty", "[task]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"p", "say:"}, {"t", "yes"}}});
  const Json definition{{"dataset", {{"files", {{"test", file}}}}},
                        {"prompt", "{{p}}"},
                        {"target", "{{t}}"},
                        {"stop", {"\n", ""}}};
  CHECK_THROWS_AS(make_text_task("generation", definition), UserError);
  CHECK_THROWS_WITH(make_text_task("generation", definition),
                    Contains("$.tasks[0].stop[1]") && Contains("an empty text"));
}
