#include <cmath>

#include "harness/core/error.h"
#include "harness/core/json_text.h"
#include "harness/core/text_encoding.h"
#include "harness/core/yaml.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("Python's NaN and Infinity are read and written again", "[core]") {
  const Json json =
      parse_json(R"({"a": [0.0, Infinity], "b": -Infinity, "c": NaN, "NaN": "\"Infinity", "d": 1})",
                 "config.json");
  CHECK(json["a"][0] == 0.0);
  CHECK(json["a"][1] == INFINITY);
  CHECK(json["b"] == -INFINITY);
  CHECK(std::isnan(json["c"].get<double>()));
  CHECK(json["NaN"] == "\"Infinity");
  CHECK(json_text(json) ==
        R"({"NaN":"\"Infinity","a":[0.0,Infinity],"b":-Infinity,"c":NaN,"d":1})");
  CHECK(json_text(json["a"], 2) == "[\n  0.0,\n  Infinity\n]");
  // At the very end of the text, and next to the numbers that replace them inside.
  CHECK(parse_json("-Infinity", "x") == -INFINITY);
  CHECK(parse_json("[0.000000,Infinity,0.000000]", "x")[0] == 0.0);
  CHECK(parse_json("[0.000000,Infinity,0.000000]", "x")[1] == INFINITY);
  CHECK_THROWS_AS(parse_json("[Infinit]", "x"), UserError);
  for (const char* wrong : {"[Infinity1]", "[1Infinity]", "[1e-NaN]", "[NaN.5]", "[+NaN]", "[nan]"})
    CHECK_THROWS_AS(parse_json(wrong, "x"), UserError);
  CHECK(parse_json("{\"a\":NaN}", "x").size() == 1);
}

TEST_CASE("a number that is asked for is finite", "[core]") {
  const Json json = parse_json(R"({"density": NaN})", "sweep.json");
  JsonReader reader(json, "sweep.json: $");
  CHECK_THROWS_WITH(reader.number("density", 1),
                    "sweep.json: $.density: expected a finite number, found NaN");
}

TEST_CASE("finite JSON is written as before", "[core]") {
  const Json json = Json::parse(R"({"b": [1, 2.5, [], {}], "a": {"x": null}})");
  CHECK(json_text(json) == json.dump());
  CHECK(json_text(json, 2) == json.dump(2));
  CHECK(json_text(Json{{"b", json}, {"n", INFINITY}}, 2) ==
        "{\n  \"b\": {\n    \"a\": {\n      \"x\": null\n    },\n    \"b\": [\n      1,\n      "
        "2.5,\n      [],\n      {}\n    ]\n  },\n  \"n\": Infinity\n}");
}

TEST_CASE("levels are bounded", "[core]") {
  const auto nested = [](size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  CHECK_NOTHROW(parse_json(nested(100), "x"));
  CHECK_THROWS_WITH(parse_json(nested(101), "x"), Contains("levels deep"));
}

TEST_CASE("text in another encoding is rejected with the line", "[core]") {
  CHECK(parse_json("\xef\xbb\xbf{\"a\": 1}", "x")["a"] == 1);
  CHECK_THROWS_WITH(parse_json("{\n\"a\": \"\xe8\"}", "x.json"),
                    "x.json: not JSON: line 2: the byte 0xe8 is not UTF-8");
  CHECK_THROWS_WITH(parse_json(std::string("\xff\xfe{\0}\0", 6), "x.json"), Contains("UTF-16"));
  CHECK_THROWS_WITH(parse_json(std::string("{\0}\0", 4), "x.json"), Contains("UTF-16"));

  CHECK_THROWS_WITH(parse_yaml("a: 1\n# mod\xe8le\n", "m.yaml"),
                    "m.yaml: line 2: the byte 0xe8 is not UTF-8");
  CHECK(parse_yaml("\xef\xbb\xbf"
                   "a: 1\n",
                   "m.yaml")
            .find("a"));
}

TEST_CASE("a file of the wrong format gets a hint", "[core]") {
  CHECK_THAT(wrong_format_hint("version https://git-lfs.github.com/spec/v1\noid x"),
             Contains("git lfs pull"));
  CHECK_THAT(wrong_format_hint("\n<!DOCTYPE HTML><html>"), Contains("HTML"));
  CHECK_THAT(wrong_format_hint("GGUF\x03"), Contains("GGUF"));
  CHECK_THAT(wrong_format_hint("PK\x03\x04"), Contains("torch.save()"));
  CHECK(wrong_format_hint("{}").empty());
  CHECK(wrong_format_hint("").empty());
  CHECK_THROWS_WITH(parse_json("<html>", "config.json"), Contains("HTML"));
}
