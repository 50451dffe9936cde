#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/sweep/sweep_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

Json valid_sweep() {
  return Json::parse(R"({
    "name": "s", "base": "b", "tasks": ["digits/*"],
    "expert_sets": [{"name": "one", "experts": ["x", "y"]}],
    "methods": ["average",
                {"method": "ties", "parameters": {"scale": 1.5}, "tune": {"density": [0.1, 0.2]}}]
  })");
}

SweepFile read(const Json& json) {
  const TemporaryFolder folder;
  write_file(folder.path() / "s.json", json.dump());
  return SweepFile::read(folder.path() / "s.json");
}

std::string error_of(const Json& json) {
  try {
    read(json);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

void check_error(const Json& json, const std::vector<std::string>& said) {
  const std::string error = error_of(json);
  for (const std::string& text : said) CHECK_THAT(error, Catch::Contains(text));
}

}  // namespace

TEST_CASE("a sweep file becomes rows, sets and grids", "[sweep]") {
  const SweepFile sweep = read(valid_sweep());

  CHECK(sweep.name == "s");
  CHECK(sweep.sets.at(0).experts == std::vector<std::string>{"x", "y"});
  CHECK(sweep.seeds == std::vector<uint64_t>{0});
  REQUIRE(sweep.methods.size() == 2);
  CHECK(sweep.methods[0].grid_points() == std::vector<Json>{Json::object()});
  const std::vector<Json> points = sweep.methods[1].grid_points();
  REQUIRE(points.size() == 2);
  CHECK(points[1] == Json{{"scale", 1.5}, {"density", 0.2}});
}

TEST_CASE("tasks of a sweep are names, or objects that change them", "[sweep]") {
  Json json = valid_sweep();
  json["tasks"] = Json::parse(R"(["a/*", {"task": "b/c", "limit": 3, "few_shot": 0,
                                          "chat_template": "models/m"}])");
  const SweepFile sweep = read(json);
  REQUIRE(sweep.tasks.size() == 2);
  CHECK(sweep.tasks[0].pattern == "a/*");
  CHECK(sweep.tasks[0].changes == TaskChanges());
  CHECK(sweep.tasks[1].pattern == "b/c");
  CHECK(sweep.tasks[1].changes == TaskChanges{.limit = 3, .few_shot = 0, .chat = "models/m"});

  json["tasks"][1]["limit"] = 0;
  check_error(json, {"tasks[1].limit", "at least 1", "found 0"});
  json["tasks"][1] = {{"task", "b/c"}, {"limits", 3}};
  check_error(json, {"tasks[1]", "Did you mean 'limit'?"});
}

TEST_CASE("a set has the sweep's base unless it names its own", "[sweep]") {
  Json json = valid_sweep();
  json["expert_sets"].push_back({{"name", "two"}, {"experts", {"x"}}, {"base", "c"}});

  const SweepFile sweep = read(json);

  CHECK(sweep.sets.at(0).base == "b");
  CHECK(sweep.sets.at(1).base == "c");
  json.erase("base");
  CHECK_FALSE(read(json).sets.at(0).base.has_value());
}

TEST_CASE("tune: true takes the method's own grid, less what is fixed", "[sweep]") {
  Json json = valid_sweep();
  json["methods"][1]["tune"] = true;

  const SweepFile sweep = read(json);

  CHECK(sweep.methods[1].grid.contains("density"));
  CHECK_FALSE(sweep.methods[1].grid.contains("scale"));
}

TEST_CASE("grids name the parameters of components by dotted paths", "[sweep]") {
  Json json = valid_sweep();
  Json& row = json["methods"][1];
  row = Json::parse(R"({"method": "component_outer", "parameters": {"of": {"strict": true}},
                        "tune": {"of.scale": [1, 2], "steps": [3]}})");
  CHECK(read(json).methods[1].grid_points() ==
        std::vector<Json>{Json::parse(R"({"of": {"strict": true, "scale": 1}, "steps": 3})"),
                          Json::parse(R"({"of": {"strict": true, "scale": 2}, "steps": 3})")});

  row["tune"] = true;  // the component's own grid
  CHECK(read(json).methods[1].grid.at("of.scale") == std::vector<Json>{1.0, 2.0});

  row["tune"] = {{"of", {"ties", "component_inner"}}};
  check_error(json, {"methods[1].tune.of", "a fixed parameter cannot be tuned too"});
  row["tune"] = {{"of.strict", {false}}};
  check_error(json, {"tune.of.strict", "a fixed parameter cannot be tuned too"});
  row["tune"] = {{"of.scale", {9}}};
  check_error(json, {"methods[1]", "of.scale", "must lie in [0, 4], found 9"});
  row["tune"] = {{"of.scael", {1}}};
  check_error(json, {"methods[1]", "Did you mean 'scale'?"});
  row["parameters"]["of"]["scale"] = 5;
  row.erase("tune");
  check_error(json, {"methods[1].parameters.of.scale", "must lie in [0, 4], found 5"});
}

TEST_CASE("parameters and grids may hold tables by layer group", "[sweep]") {
  Json json = valid_sweep();
  Json& row = json["methods"][1];
  row["parameters"] = Json::parse(R"({"scale": {"first": 1, "*.mlp.*": 2}})");
  row["tune"] = Json::parse(R"({"density": [0.2, {"last": 0.3, "*": 0.1}]})");
  CHECK(read(json).methods[1].grid_size() == 2);

  row["tune"]["density"][1]["last"] = 3;
  check_error(json, {"methods[1]", "density", "found 3", "layer group 'last'"});
  row.erase("tune");
  row["parameters"]["scale"]["first"] = "x";
  check_error(json, {"methods[1].parameters.scale", "layer group 'first'"});
}

TEST_CASE("weights that cannot be normalized are refused with the sweep file", "[sweep]") {
  Json json = valid_sweep();
  Json& row = json["methods"][0];
  row = {{"method", "linear"}, {"parameters", {{"weights", {1, -1}}}}};
  check_error(json,
              {"s.json.methods[0].parameters: ", "'weights' sums to 0", "'normalize' false", "-1"});

  row["parameters"]["weights"] = {0.1, 0.2, -0.3};  // 0 but for rounding
  check_error(json, {"'weights' sums to 0"});

  row["parameters"]["normalize"] = false;
  CHECK(error_of(json).empty());

  row = {{"method", "karcher"}, {"tune", {{"weights", {{1, 2}, {0, 0}}}}}};
  check_error(json, {"s.json.methods[0]: ", "'weights' sums to 0", "a sum above 0", "[0,0]"});
}

TEST_CASE("mistakes in a sweep file are named with their place and the nearest name", "[sweep]") {
  Json json = valid_sweep();

  SECTION("unknown key") {
    json["metods"] = 1;
    check_error(json, {"'metods'", "'methods'"});
  }
  SECTION("unknown key of a method") {
    json["methods"][1]["parameter"] = Json::object();
    check_error(json, {"s.json.methods[1]", "'parameters'"});
  }
  SECTION("unknown method") {
    json["methods"][0] = "avrage";
    check_error(json, {"'avrage'", "Did you mean 'average'?"});
  }
  SECTION("unknown preset") {
    json["methods"][0] = "ties@mergekitt";
    check_error(json, {"'mergekitt'", "'mergekit'"});
  }
  SECTION("unknown parameter") {
    json["methods"][1]["parameters"] = {{"densty", 0.1}};
    check_error(json, {"'densty'", "'density'"});
  }
  SECTION("value out of range in a grid") {
    json["methods"][1]["tune"]["density"] = {0.1, 1.5};
    check_error(json, {"density", "1.5"});
  }
  SECTION("value of wrong type") {
    json["methods"][1]["parameters"] = {{"scale", "1"}};
    check_error(json, {"scale", "number"});
  }
  SECTION("a fixed parameter that is tuned") {
    json["methods"][1]["tune"]["scale"] = {1.0};
    check_error(json, {"scale", "fixed"});
  }
  SECTION("two rows of one name") {
    json["methods"].push_back("average");
    check_error(json, {"average", "two"});
  }
  SECTION("an expert twice in a set") {
    json["expert_sets"][0]["experts"] = {"x", "x"};
    check_error(json, {"'x'", "expert_sets[0]"});
  }
  SECTION("a method without anything to tune") {
    json["methods"][0] = {{"method", "average"}, {"tune", true}};
    check_error(json, {"average", "no parameter to tune"});
  }
  SECTION("a missing recipe file") {
    json["recipe"] = "none.json";
    check_error(json, {"none.json", "no file"});
  }
}

TEST_CASE("--only keeps the rows that match", "[sweep]") {
  SweepFile sweep = read(valid_sweep());

  SECTION("a glob") {
    keep_only(sweep, "ti*");
    REQUIRE(sweep.methods.size() == 1);
    CHECK(sweep.methods[0].label == "ties");
  }
  SECTION("nothing matches") { CHECK_THROWS_AS(keep_only(sweep, "tise"), UserError); }
}

TEST_CASE("more cells than can be run are counted, not built", "[sweep]") {
  Json json = valid_sweep();
  std::vector<double> thousand;
  for (int i = 1; i <= 1000; ++i) thousand.push_back(i / 1000.0);

  SECTION("a grid") {
    json["methods"] = {
        {{"method", "dare_ties"},
         {"tune", {{"drop", thousand}, {"density", thousand}, {"scale", thousand}}}}};
    check_error(json, {"methods[0]", "1000000000 points", "1000 of drop", "100000"});
  }
  SECTION("seeds of a randomised row") {
    for (int i = 0; i < 200; ++i) json["seeds"].push_back(i);
    json["methods"] = {{{"method", "dare"}, {"tune", {{"drop", thousand}}}}};
    // 200 * (default + grid + chosen) + 2 per expert + base, best, multitask, ensemble, oracle
    check_error(json, {"200409 cells", "200 seeds", "100000"});
  }
  SECTION("expert sets") {
    for (int i = 0; i < 200; ++i)
      json["expert_sets"].push_back({{"name", std::to_string(i)}, {"experts", {"x"}}});
    json["methods"] = {{{"method", "ties"}, {"tune", {{"scale", thousand}}}}};
    check_error(json, {"201 expert sets", "100000"});
  }
  SECTION("beyond what numbers hold") {
    const MethodSpec spec{.label = "",
                          .method = "",
                          .parameters = {},
                          .grid = {{"a", std::vector<Json>(1 << 16)},
                                   {"b", std::vector<Json>(1 << 16)},
                                   {"c", std::vector<Json>(1 << 16)},
                                   {"d", std::vector<Json>(1 << 16)}},
                          .where = ""};
    CHECK(spec.grid_size() == int64_t{1} << 62);
  }
}

TEST_CASE("a seed named twice is no second draw", "[sweep]") {
  Json json = valid_sweep();
  json["seeds"] = {0, 1, 0};
  check_error(json, {"seeds", "0 is named twice"});
}

TEST_CASE("a sweep names the references that it wants beside base and experts", "[sweep]") {
  Json json = valid_sweep();
  CHECK((read(json).references ==
         std::vector<Reference>{Reference::kEnsemble, Reference::kOracleExpert}));
  json["references"] = {"majority vote", "ensemble of logits"};
  CHECK((read(json).references ==
         std::vector<Reference>{Reference::kMajorityVote, Reference::kLogitEnsemble}));
  json["references"] = Json::array();
  CHECK(read(json).references.empty());
  json["references"] = {"oracle"};
  check_error(json, {"references[0]", "'oracle'", "oracle expert"});
  json["references"] = {"ensemble", "ensemble"};
  check_error(json, {"references[1]", "named twice"});
}

TEST_CASE("a sweep scores all tasks, or those held in", "[sweep]") {
  Json json = valid_sweep();
  CHECK_FALSE(read(json).held_in_only);
  json["evaluate"] = "all";
  CHECK_FALSE(read(json).held_in_only);
  json["evaluate"] = "held-in";
  CHECK(read(json).held_in_only);
  json["evaluate"] = "held_in";
  check_error(json, {"evaluate", "'held_in'", "held-in"});
}

TEST_CASE("rows left out are remembered", "[sweep]") {
  SweepFile sweep = read(valid_sweep());

  keep_only(sweep, "ti*");

  REQUIRE(sweep.methods.size() == 1);
  REQUIRE(sweep.left_out.size() == 1);
  CHECK(sweep.methods[0].label == "ties");
  CHECK(sweep.left_out[0].label == "average");
}

TEST_CASE("names of a sweep file are relative to it, links followed", "[sweep]") {
  const TemporaryFolder folder;
  for (const char* name : {"here/m", "there/m"}) fs::create_directories(folder.path() / name);
  fs::create_directory_symlink(folder.path() / "there" / "m", folder.path() / "there" / "latest");
  const fs::path before = fs::current_path();
  fs::current_path(folder.path() / "here");

  const fs::path found = named_by(folder.path() / "there" / "s.json", "m");
  const fs::path latest = named_by(folder.path() / "there" / "s.json", "latest");
  fs::current_path(before);

  CHECK(found == fs::canonical(folder.path() / "there" / "m"));
  CHECK(latest == found);
  CHECK_THROWS_AS(named_by(folder.path() / "there" / "s.json", "none"), UserError);
}
