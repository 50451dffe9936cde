#include <fstream>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

fs::path json_file(const TemporaryFolder& folder, const std::string& text) {
  fs::path path = folder.path() / "sweep.json";
  std::ofstream(path) << text;
  return path;
}

}  // namespace

TEST_CASE("a JSON reader gives typed values and fallbacks", "[core]") {
  const Json json = Json::parse(
      R"({"name": "ties", "density": 0.2, "seeds": 3, "tune": true, "tags": ["a", "b"]})");
  JsonReader reader(json, "$");

  CHECK(reader.string("name") == "ties");
  CHECK(reader.number("density", 1.0) == 0.2);
  CHECK(reader.integer("seeds", 1) == 3);
  CHECK(reader.boolean("tune", false));
  CHECK(reader.at("tags").as_strings() == std::vector<std::string>{"a", "b"});
  CHECK(reader.string("absent", "fallback") == "fallback");
  CHECK(reader.integer("also absent", 7) == 7);
  CHECK_FALSE(reader.find("not there"));
  CHECK_NOTHROW(reader.finish());
}

TEST_CASE("a wrong JSON value is rejected with its location and what was found", "[core]") {
  const Json json = Json::parse(
      R"({"methods": [{"name": "ties"}, {"name": 5}], "seeds": 1.5, "big": 18446744073709551615})");
  JsonReader reader(json, "sweep.json: $");

  CHECK_THROWS_WITH(reader.at("methods").elements()[1].at("name").as_string(),
                    "sweep.json: $.methods[1].name: expected a string, found 5");
  CHECK_THROWS_WITH(reader.integer("seeds", 1),
                    "sweep.json: $.seeds: expected an integer of 64 bits, found 1.5");
  CHECK_THROWS_AS(reader.integer("big", 1), UserError);
  CHECK_THROWS_WITH(reader.at("experts"), "sweep.json: $: the key 'experts' is missing");
  CHECK_THROWS_WITH(reader.at("seeds").elements(), Contains("expected a list, found 1.5"));
  CHECK_THROWS_WITH(reader.at("seeds").at("x"), Contains("$.seeds: expected an object"));
  CHECK_THROWS_AS(reader.at("methods").as_bool(), UserError);
}

TEST_CASE("a JSON key that was never read is rejected with the nearest known one", "[core]") {
  const Json json = Json::parse(R"({"density": 0.2, "scael": 1.0})");
  JsonReader reader(json, "sweep.json: $.parameters");
  reader.number("density", 0);
  reader.number("density", 0);  // asking twice lists the name once
  reader.number("scale", 1);

  CHECK_THROWS_AS(reader.finish(), UserError);
  CHECK_THROWS_WITH(reader.finish(),
                    "unknown key 'scael' in sweep.json: $.parameters. "
                    "Did you mean 'scale'? Known: density, scale.");
}

TEST_CASE("JSON files are read strictly", "[core]") {
  const TemporaryFolder folder;
  CHECK(read_json(json_file(folder, R"({"a": [1, {"b": 2}], "b": {"a": 3}})"))["b"]["a"] == 3);

  CHECK_THROWS_AS(read_json(folder.path() / "absent.json"), DataError);
  CHECK_THROWS_AS(read_json(folder.path()), DataError);
  CHECK_THROWS_AS(read_json(json_file(folder, "")), UserError);
  CHECK_THROWS_AS(read_json(json_file(folder, "{} // comment")), UserError);
  CHECK_THROWS_AS(read_json(json_file(folder, R"({"a": 1e999})")), UserError);
  CHECK_THROWS_WITH(read_json(json_file(folder, "{\n  \"a\": 1,\n}")),
                    Contains("sweep.json") && Contains("line 3"));
  CHECK_THROWS_WITH(read_json(json_file(folder, R"({"seed": 1, "x": {"seed": 1}, "seed": 2})")),
                    Contains("the key 'seed' appears twice"));
}

TEST_CASE("canonical JSON does not depend on the order or spacing of its source", "[core]") {
  CHECK(canonical(Json::parse(R"({ "b": [1, 2.5],  "a": null })")) == R"({"a":null,"b":[1,2.5]})");
  CHECK(canonical(Json::parse(R"({"x": 0.1})")) == R"({"x":0.1})");
}
