// Parameters as users give them: tables by layer group, and paths into components.
#include "harness/method/configuration.h"

#include <ATen/ATen.h>

#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// One parameter of every type, in a method that is never called.
struct TableSample {
  static constexpr MethodInfo info{.name = "table_sample",
                                   .paper = "https://example.org",
                                   .summary = "for tests of tables",
                                   .elementwise = true};
  static constexpr Preset presets[] = {{"dense", R"({"density": 0.9})", "dense"}};
  enum class Scope { kModel, kTensor };
  double density = 0.2;
  int64_t steps = 10;
  bool needs_base = false;
  Scope scope = Scope::kModel;
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(density, {.name = "density", .range = {0, 1}, .help = "share kept"});
    p(steps, {.name = "steps", .range = {1, 100}, .help = "a count"});
    p(needs_base, {.name = "needs_base", .help = "a switch"});
    p(scope, {.name = "trim.scope", .choices = {"model", "tensor"}, .help = "a choice"});
    p(weights, {.name = "weights", .range = {0, 2}, .help = "a list"});
  }
  std::optional<std::string> conflict() const {
    if (density == 0 && steps == 1) return "nothing is left";
    return std::nullopt;
  }
  Needs needs() const { return {.base = needs_base}; }
  at::Tensor merge(const TensorJob& job) const { return job.experts.front(); }
};
ASSAY_METHOD(TableSample)

/// Holds one.
struct TableHolder {
  static constexpr MethodInfo info{
      .name = "table_holder", .paper = "https://example.org", .summary = "for tests of tables"};
  static constexpr Preset presets[] = {
      {"dense", R"({"of": {"method": "table_sample@dense", "steps": 5}})", "dense"}};
  MethodComponent of{"table_sample"};

  void parameters(auto&& p) { p(of, {.name = "of", .help = "the method that it holds"}); }
  at::Tensor merge(const TensorJob& job) const { return job.experts.front(); }
};
ASSAY_METHOD(TableHolder)

/// Merges whole models.
struct WholeSample {
  static constexpr MethodInfo info{
      .name = "whole_sample", .paper = "https://example.org", .summary = "for tests of tables"};
  double scale = 1;
  void parameters(auto&& p) { p(scale, {.name = "scale", .range = {0, 1}, .help = "a factor"}); }
  StateDict merge_model(const ModelJob& job) const {
    StateDict made;
    for (const std::string& name : job.names()) made[name] = job.tensor(name).experts.front();
    return made;
  }
};
ASSAY_METHOD(WholeSample)

/// Reads a statistic unless it is exact. "whitened" decides which one only together with "wide".
struct StatisticSample {
  static constexpr MethodInfo info{.name = "statistic_sample",
                                   .paper = "https://example.org",
                                   .summary = "for tests of statistics and tables"};
  int64_t rank = 1;
  bool exact = true, wide = false, whitened = false;

  void parameters(auto&& p) {
    p(rank, {.name = "rank", .range = {1, 9}, .help = "of approximations"});
    p(exact, {.name = "exact", .help = "a switch"});
    p(wide, {.name = "wide", .help = "a switch"});
    p(whitened, {.name = "whitened", .help = "a switch that needs another"});
  }
  std::vector<StatisticRef> statistics() const {
    if (exact) return {};
    return {{"low_rank", {{"rank", rank}, {"wide", wide}, {"whitened", wide && whitened}}}};
  }
  at::Tensor merge(const TensorJob& job) const { return job.experts.front(); }
};
ASSAY_METHOD(StatisticSample)

MethodConfiguration read(const std::string& json, const std::string& ref = "table_sample") {
  const Json parsed = Json::parse(json);
  return MethodConfiguration::read(ref, JsonReader(parsed, "$.parameters"));
}

const std::vector<std::string> kTensors{"embed",    "h.0.attn", "h.0.mlp", "h.1.attn", "h.1.mlp",
                                        "h.2.attn", "h.2.mlp",  "h.3.mlp", "head"};
const BlockOfTensor kBlocks{{"h.0.attn", 0}, {"h.0.mlp", 0}, {"h.1.attn", 1}, {"h.1.mlp", 1},
                            {"h.2.attn", 2}, {"h.2.mlp", 2}, {"h.3.mlp", 3}};

/// The value of a parameter for every tensor, in their order.
std::vector<Json> values(const std::string& json,
                         const std::vector<std::string>& path = {"density"},
                         const std::string& ref = "table_sample") {
  std::map<std::string, Json> by_tensor;
  for (const MethodGroup& group : read(json, ref).groups(kTensors, kBlocks)) {
    Json value = group.method->parameters();
    for (const std::string& name : path) value = Json(value[name]);
    for (const std::string& tensor : group.tensors) by_tensor[tensor] = value;
  }
  std::vector<Json> out;
  for (const std::string& tensor : kTensors) out.push_back(by_tensor.at(tensor));
  return out;
}

}  // namespace

TEST_CASE("parameters without tables make one group", "[method]") {
  const MethodConfiguration made = read(R"({"density": 1})", "table_sample@dense");
  CHECK_FALSE(made.has_tables());
  CHECK(made.parameters()["density"] == 1.0);
  const auto groups = made.groups(kTensors, {});
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].tensors == kTensors);
  CHECK(groups[0].method->parameters() == made.parameters());
  CHECK(made.groups({}, {}).size() == 1);
}

TEST_CASE("a table gives each tensor the value of its layer group", "[method]") {
  // Four blocks: one is first, two are middle, one is last.
  CHECK(values(R"({"density": {"first": 0.1, "middle": 0.3, "last": 0.4, "*": 0.5}})") ==
        std::vector<Json>{0.5, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 0.4, 0.5});
  // A glob counts before a third; what no key matches has the usual value.
  CHECK(values(R"({"density": {"first": 0.1, "*.mlp": 0.3}})") ==
        std::vector<Json>{0.2, 0.1, 0.3, 0.2, 0.3, 0.2, 0.3, 0.3, 0.2});
  CHECK(values(R"({"density": {"h.1.*": 0.1}})", {"density"}, "table_sample@dense") ==
        std::vector<Json>{0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9});
  CHECK(values(R"({"trim.scope": {"*.mlp": "tensor"}})", {"trim.scope"})[2] == "tensor");
  CHECK(values(R"({"steps": {"head": 3}})", {"steps"}).back() == 3);
  CHECK(values(R"({"weights": {"head": [1, 2]}})", {"weights"}).back() == Json{1.0, 2.0});

  // Several tables: a group for each combination that there is.
  CHECK(read(R"({"density": {"*.mlp": 0.3}, "steps": {"first": 5}})")
            .groups(kTensors, kBlocks)
            .size() == 4);
  // Equal values are one group, whatever names them.
  CHECK(read(R"({"density": {"*.mlp": 0.2, "head": 0.2}})").groups(kTensors, kBlocks).size() == 1);
}

TEST_CASE("stored tables are complete and read again", "[method]") {
  const MethodConfiguration made = read(R"({"density": {"first": 1}, "steps": {"*": 3}})");
  CHECK(made.parameters()["density"] == Json{{"first", 1.0}, {"*", 0.2}});
  CHECK(made.parameters()["steps"] == 3);
  CHECK(read(made.parameters().dump()).parameters() == made.parameters());
  CHECK(canonical(read(R"({"density": {"first": 1.0, "*": 0.2}, "steps": 3})").parameters()) ==
        canonical(made.parameters()));
}

TEST_CASE("a component's parameters may be tables", "[method]") {
  const std::string table = R"({"of": {"density": {"last": 0.7}}})";
  CHECK(values(table, {"of", "density"}, "table_holder")[7] == 0.7);
  CHECK(values(table, {"of", "density"}, "table_holder")[0] == 0.2);
  CHECK(values(table, {"of", "density"}, "table_holder@dense")[0] == 0.9);
  CHECK(values(table, {"of", "steps"}, "table_holder@dense")[7] == 5);
  const Json stored = read(table, "table_holder").parameters();
  CHECK(stored["of"]["density"] == Json{{"last", 0.7}, {"*", 0.2}});
  CHECK(read(stored.dump(), "table_holder").parameters() == stored);
  CHECK_THROWS_WITH(read(R"({"of": {"density": {"last": 7}}})", "table_holder"),
                    Contains("$.parameters.of.density") && Contains("layer group 'last'"));
}

TEST_CASE("every value of a table is checked when it is read", "[method]") {
  CHECK_THROWS_WITH(read(R"({"density": {"first": 2, "*": 0.1}})"),
                    Contains("$.parameters.density: parameter 'density' must lie in [0, 1], found 2"
                             " (layer group 'first')"));
  CHECK_THROWS_WITH(read(R"({"density": {"*": 2}})"), Contains("layer group '*'"));
  CHECK_THROWS_WITH(read(R"({"density": {"first": {"a": 1}}})"), Contains("layer group 'first'"));
  CHECK_THROWS_WITH(read(R"({"trim.scope": {"first": "tensors"}})"),
                    Contains("Did you mean 'tensor'?") && Contains("layer group 'first'"));
  CHECK_THROWS_WITH(read(R"({"density": {}})"), Contains("needs a group"));
  CHECK_THROWS_WITH(read(R"({"densiti": {"first": 0.1}})"), Contains("Did you mean 'density'?"));
  CHECK_THROWS_WITH(read(R"({"scale": {"first": 0.1}})", "whole_sample"),
                    Contains("does not merge tensor by tensor"));
  CHECK_THROWS_WITH(read(R"({"density": {"first": 0}, "steps": 1})"), Contains("nothing is left"));
  CHECK_THROWS_WITH(read(R"({"of": {"scale": {"first": 0.1}}})", "sens_merging"),
                    Contains("the network on whole models"));
}

TEST_CASE("conflicts of several tables are those of values that meet", "[method]") {
  CHECK_NOTHROW(
      read(R"({"density": {"first": 0}, "steps": {"last": 1}})").groups(kTensors, kBlocks));
  CHECK_THROWS_WITH(
      read(R"({"density": {"first": 0}, "steps": {"*.attn": 1}})").groups(kTensors, kBlocks),
      Contains("nothing is left"));
}

TEST_CASE("groups that do not fit the tensors are refused", "[method]") {
  const auto refused = [](const std::string& json, const BlockOfTensor& blocks) -> std::string {
    try {
      read(json).groups(kTensors, blocks);
    } catch (const UserError& error) {
      return error.what();
    }
    return "not refused";
  };
  CHECK_THAT(refused(R"({"density": {"h.1.*": 0.1, "*.mlp": 0.2, "*": 0.3}})", kBlocks),
             Contains("$.parameters.density: the tensor 'h.1.mlp' is in the groups") &&
                 Contains("'*.mlp' (0.2)") && Contains("'h.1.*' (0.1)"));
  CHECK(refused(R"({"density": {"h.1.*": 0.1, "*.mlp": 0.1}})", kBlocks) == "not refused");
  CHECK_THAT(refused(R"({"density": {"heed": 0.1}})", kBlocks),
             Contains("no tensor's name matches the layer group 'heed'") &&
                 Contains("Did you mean 'head'?"));
  CHECK_THAT(refused(R"({"density": {"first": 0.1}})", {}), Contains("globs"));
  CHECK_THAT(refused(R"({"density": {"middle": 0.1}})", {{"h.0.attn", 0}, {"h.1.mlp", 1}}),
             Contains("no tensor is in 'middle'") && Contains("2 transformer block(s)"));
}

TEST_CASE("layer groups are checked by themselves, too", "[method]") {
  CHECK_NOTHROW(check_layer_groups({"first", "*.mlp", "*"}, kTensors, kBlocks, "here"));
  CHECK_THROWS_WITH(check_layer_groups({"first", "*.map"}, kTensors, kBlocks, "here"),
                    Contains("here: no tensor's name matches the layer group '*.map'"));
}

TEST_CASE("thirds are as even as they can be", "[method]") {
  const auto thirds = [](int64_t blocks) {
    std::vector<std::string> names;
    BlockOfTensor block_of;
    for (int64_t i = 0; i < blocks; ++i) block_of[names.emplace_back(fmt::format("t{}", i))] = i;
    std::vector<size_t> sizes;
    for (const MethodGroup& group :
         read(R"({"steps": {"first": 1, "middle": 2, "last": 3}})").groups(names, block_of))
      sizes.push_back(group.tensors.size());
    return sizes;
  };
  CHECK(thirds(3) == std::vector<size_t>{1, 1, 1});
  CHECK(thirds(4) == std::vector<size_t>{1, 2, 1});
  CHECK(thirds(5) == std::vector<size_t>{2, 1, 2});
  CHECK(thirds(7) == std::vector<size_t>{2, 3, 2});
}

TEST_CASE("needs are those of every value in a table", "[method]") {
  CHECK_FALSE(read("{}").needs().base);
  CHECK(read(R"({"needs_base": {"head": true}})").needs().base);
}

TEST_CASE("statistics are those of all values that tables combine", "[method]") {
  const auto count = [](const std::string& json) {
    return read(json, "statistic_sample").statistics().size();
  };
  CHECK(count("{}") == 0);
  CHECK(count(R"({"rank": {"head": 2}})") == 0);
  CHECK(count(R"({"exact": {"head": false}})") == 1);
  CHECK(count(R"({"exact": {"head": false}, "rank": {"head": 2}})") == 2);
  CHECK(count(R"({"exact": false, "rank": {"head": 2, "embed": 3}})") == 3);
  CHECK(count(R"({"exact": false, "rank": {"head": 2}, "wide": {"embed": true}})") == 4);

  CHECK(count(R"({"exact": false, "wide": {"head": true}, "whitened": {"head": true}})") == 3);

  // Of many tables, values that decide something together are refused where a tensor has them.
  const auto groups = [](const std::string& whitened) {
    Json json = {{"exact", {{"head", false}}}, {"wide", {{"head", true}}}};
    for (size_t i = 0; i < kTensors.size(); ++i) json["rank"][kTensors[i]] = i + 1;
    json["whitened"][whitened] = true;
    return read(json.dump(), "statistic_sample").groups(kTensors, kBlocks).size();
  };
  CHECK(groups("embed") == kTensors.size());
  CHECK_THROWS_WITH(groups("head"), Contains("'head'") && Contains("low_rank") &&
                                        Contains("\"whitened\":true") && Contains("fewer tables"));
}

TEST_CASE("a method that modifies others is none for task models", "[method]") {
  CHECK_NOTHROW(read("{}", "emr"));
  CHECK_THROWS_WITH(read(R"({"of": "emr"})", "table_holder"),
                    Contains("$.parameters: parameter 'of' is emr") &&
                        Contains("a model per task") && Contains("table_holder"));
}

TEST_CASE("parameters are named by paths", "[method]") {
  const auto set = [](const std::string& given, const std::string& path, const Json& value,
                      const std::string& ref = "table_holder") {
    Json parameters = Json::parse(given);
    set_parameter(ref, parameters, path, value, "here");
    return parameters;
  };
  CHECK(set("{}", "of.density", .3) == Json::parse(R"({"of": {"density": 0.3}})"));
  CHECK(set("{}", "of.trim.scope", "tensor") == Json::parse(R"({"of": {"trim.scope": "tensor"}})"));
  CHECK(set(R"({"of": "table_holder"})", "of.of.steps", 3) ==
        Json::parse(R"({"of": {"method": "table_holder", "of": {"steps": 3}}})"));
  CHECK(set("{}", "trim.scope", "tensor", "table_sample") ==
        Json::parse(R"({"trim.scope": "tensor"})"));
  CHECK(set("{}", "nothing.like.it", 1) == Json::parse(R"({"nothing.like.it": 1})"));
  CHECK_THROWS_WITH(set(R"({"of": "tabel_sample"})", "of.steps", 1),
                    Contains("here") && Contains("Did you mean 'table_sample'?"));

  const Json given = Json::parse(R"({"of": {"trim.scope": "tensor"}, "a.b": 1})");
  CHECK(has_parameter(given, "of"));
  CHECK(has_parameter(given, "of.trim.scope"));
  CHECK(has_parameter(given, "a.b"));
  CHECK_FALSE(has_parameter(given, "of.density"));
  CHECK_FALSE(has_parameter(Json::parse(R"({"of": "ties"})"), "of.density"));
}
