// Files of merges that say whose tasks the model is for.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/request/merge_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

TEST_CASE("a merge file names the expert of a task model by name or index", "[merge]") {
  const TemporaryFolder folder;
  for (const char* name : {"base", "one", "two"})
    write_checkpoint(folder.path() / name, {{"w", noise({4}, name[0])}}, {}, false);
  const auto request = [&](const Json& changes, const std::optional<std::string>& chosen = {}) {
    Json file{{"method", "emr"}, {"base", "base"}, {"experts", {"one", "two"}}};
    file.update(changes);
    write_file(folder.path() / "merge.json", file.dump());
    return MergeRequest::read(folder.path() / "merge.json", {.task_expert = chosen});
  };

  CHECK(request({{"task_expert", "two"}}).inputs.task_expert == 1);
  CHECK(request({{"task_expert", 0}}).inputs.task_expert == 0);
  CHECK(request({{"task_expert", 0}}, "two").inputs.task_expert == 1);
  CHECK(request(Json::object(), "1").configuration.at("task_expert") == "two");
  const MergeRequest shared = request(Json::object());
  CHECK_FALSE(shared.inputs.task_expert);
  REQUIRE_FALSE(shared.notes.empty());
  CHECK_THAT(shared.notes.front(), Contains("makes a model per task"));
  CHECK_THROWS_WITH(request(Json::object(), "tow"),
                    Contains("--task-expert") && Contains("'two'?"));
  CHECK_THROWS_WITH(request({{"method", "average"}, {"task_expert", 0}}),
                    Contains("average makes one model for all tasks"));
}
