#include "harness/jinja/jinja.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"

using namespace assay;

namespace {

/// The text, or null where the template is refused.
Json rendered(const std::string& source, const OrderedJson& context, const JinjaOptions& options) {
  try {
    return JinjaTemplate(source, "test", options).render(context);
  } catch (const UserError&) {
  } catch (const DataError&) {
  }
  return {};
}

std::string error_of(const std::string& source, const Json& context = Json::object()) {
  try {
    JinjaTemplate(source, "file").render(context);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

OrderedJson goldens() {
  return OrderedJson::parse(read_file(fs::path(ASSAY_TESTS_FOLDER) / "golden/jinja.json"));
}

}  // namespace

TEST_CASE("templates give the texts of Python's Jinja2", "[jinja]") {
  const OrderedJson golden = goldens();
  for (const OrderedJson& test : golden["cases"]) {
    INFO(test["template"]);
    const std::string source = test["template"];
    CHECK(rendered(source, golden["context"], JinjaOptions::of_tasks()) ==
          Json(test["texts"]["task"]));
    CHECK(rendered(source, golden["context"], JinjaOptions::of_chats()) ==
          Json(test["texts"]["chat"]));
  }
}

TEST_CASE("chat templates in the manner of published models", "[jinja]") {
  for (const OrderedJson& test : goldens()["chats"]) {
    INFO(test["name"] << ", " << test["context"]);
    CHECK(rendered(test["template"], test["context"], JinjaOptions::of_chats()) ==
          Json(test["text"]));
  }
}

TEST_CASE("an error names the line and what is wrong", "[jinja]") {
  using Catch::Matchers::Contains;
  CHECK_THAT(error_of("a\nb {{ x"), Contains("file: line 2: a '{{' has no '}}'"));
  CHECK_THAT(error_of("\n\n{{ x | uper }}"),
             Contains("line 3: unknown filter 'uper'") && Contains("Did you mean 'upper'?"));
  CHECK_THAT(error_of("{% include 'x' %}"), Contains("the statement 'include' is not supported"));
  CHECK_THAT(error_of("{% for i in x %}"), Contains("expected 'endfor'"));
  CHECK_THAT(error_of("{{ x.y }}", {{"x", Json::object()}}),
             Contains("'y' of a dict is undefined"));
  CHECK_THAT(error_of("{{ raise_exception('no') }}"), Contains("the template says: no"));
  CHECK_THAT(error_of("{{ a[] }}"), Contains("expected an index, found ']'"));
}

TEST_CASE("a template that never ends, or grows without end, is stopped", "[jinja]") {
  using Catch::Matchers::Contains;
  CHECK_THAT(error_of("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                      "{% endfor %}"),
             Contains("steps"));
  CHECK_THAT(error_of("{% set ns = namespace(t='ab') %}{% for i in range(99) %}"
                      "{% set ns.t = ns.t ~ ns.t %}{% endfor %}"),
             Contains("bytes") || Contains("steps"));
  CHECK_THAT(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), Contains("deep"));
  CHECK_THAT(error_of("{{ 'a' * 99999999999 }}"), Contains("bytes"));
  const std::string open(5000, '('), close(5000, ')');
  CHECK_THAT(error_of(fmt::format("{{{{ {}1{} }}}}", open, close)), Contains("nested too deeply"));
  CHECK_THAT(error_of("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}"
                      "{% set ns.l = [ns.l] %}{% endfor %}"),
             Contains("levels deep"));
  CHECK_THAT(error_of("{% set l = [] %}{{ l.append(l) or l }}"), Contains("levels deep"));
}

TEST_CASE("a template of one expression has a value", "[jinja]") {
  const Json context{{"x", {"a", "b"}}, {"n", 1}};
  const JinjaTemplate list("{{ x + ['c'] }}", "test");
  CHECK(list.is_expression());
  CHECK(list.value(context) == Json{"a", "b", "c"});
  CHECK(JinjaTemplate("{{ x.index('b') }}", "test").value(context) == 1);
  const JinjaTemplate text("{{ n }}.", "test");
  CHECK(!text.is_expression());
  CHECK(text.value(context) == "1.");
  CHECK(
      JinjaTemplate("{{ 'a1b22'|regex_replace('([0-9]+)', '<\\\\1>') }}", "test").render(context) ==
      "a<1>b<22>");
}
