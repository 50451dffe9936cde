#include "harness/task/text_file.h"

#include <zlib.h>

#include "harness/core/error.h"
#include "harness/task/text_template.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::vector<TextItem> read_written(const std::string& name, const std::string& content) {
  const TemporaryFolder folder;
  write_file(folder.path() / name, content);
  return read_text_file(folder.path() / name);
}

std::string filled(const std::string& source, const TextItem& item) {
  const Json json = source;
  return TextTemplate(JsonReader(json, "$.prompt")).fill(item);
}

}  // namespace

TEST_CASE("items are read from JSON, JSON lines, tables and texts", "[task]") {
  const auto lines = read_written("a.jsonl", "{\"q\":\"one\"}\n\n{\"q\":\"two\"}\r\n");
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].fields["q"] == "two");
  CHECK_THAT(lines[1].where, Contains("a.jsonl line 3"));

  const auto array = read_written("a.json", "[{\"q\":1},{\"q\":2}]");
  CHECK(array.at(1).fields["q"] == 2);
  CHECK_THAT(array[1].where, Contains("a.json item 2"));

  CHECK_THROWS_WITH(read_written("a.json", "{\"q\":1}\n{\"q\":2}\n"), Contains("ends in .jsonl"));
  CHECK_THROWS_WITH(read_written("a.json", "{\"q\":1}"),
                    Contains("an array of objects, found object") && Contains("ends in .jsonl"));

  const auto table =
      read_written("a.csv", "\xef\xbb\xbfq,a\r\n\"one, \"\"two\"\"\nthree\",\n four ,\"\"\n");
  REQUIRE(table.size() == 2);
  CHECK(table[0].fields["q"] == "one, \"two\"\nthree");
  CHECK(table[0].fields["a"].get<std::string>().empty());
  CHECK(table[1].fields["q"] == " four ");
  CHECK_THAT(table[1].where, Contains("a.csv line 4"));

  CHECK(read_written("a.tsv", "q\ta\nx,y\tz").at(0).fields["q"] == "x,y");
  const auto unquoted = read_written("a.tsv", "q\ta\nx\t\"He said\ny\tyes\"\n");
  REQUIRE(unquoted.size() == 2);
  CHECK(unquoted[0].fields["a"] == "\"He said");
  CHECK(unquoted[1].fields["a"] == "yes\"");
  CHECK(read_written("a.txt", "one\ntwo\n").at(0).fields["text"] == "one\ntwo\n");
}

TEST_CASE("compressed files give the items of uncompressed ones", "[task]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a.jsonl.gz";
  gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzputs(file, "{\"q\":\"packed\"}\n");
  ::gzclose(file);
  CHECK(read_text_file(path).at(0).fields["q"] == "packed");

  const std::string bytes = read_file(path);
  write_file(path, bytes.substr(0, bytes.size() - 12));
  CHECK_THROWS_WITH(read_text_file(path), Contains("a.jsonl.gz") && Contains("gzip"));
}

TEST_CASE("errors in files name the location", "[task]") {
  CHECK_THROWS_WITH(read_written("a.jsonl", "{\"q\":1}\n{\"q\":\n"),
                    Contains("a.jsonl line 2") && Contains("not valid JSON"));
  CHECK_THROWS_WITH(read_written("a.jsonl", "[1]\n"), Contains("expected an object"));
  CHECK_THROWS_WITH(read_written("a.json", "{}"), Contains("expected an array"));
  CHECK_THROWS_WITH(read_written("a.txt", "one\ntwo \xc3\x28\n"),
                    Contains("a.txt line 2") && Contains("0xc3") && Contains("UTF-8"));
  for (const char* bad : {"\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80", "\xe2\x82", "\x80"})
    CHECK_THROWS_AS(read_written("a.txt", bad), DataError);
  CHECK(read_written("a.txt", "\u00e9\u20ac\U0001f600").size() == 1);
  CHECK_THROWS_WITH(read_written("a.csv", "q,a\nx,y\nz\n"),
                    Contains("a.csv line 3") && Contains("1 fields, but the first line names 2"));
  CHECK_THROWS_WITH(read_written("a.csv", "q\n\"x\n"), Contains("line 2") && Contains("no end"));
  CHECK_THROWS_WITH(read_written("a.csv", "q,a,q\nx,y,z\n"),
                    Contains("a.csv line 1") && Contains("twice among q, a, q"));
  CHECK_THROWS_AS(read_text_file("/nowhere/a.json"), DataError);
}

TEST_CASE("templates insert fields into text", "[task]") {
  const TextItem item{Json::parse(R"({"q": "Why?", "n": 3, "c": {"t": ["a", "b"]}, "x": null})"),
                      "file line 7"};
  CHECK(filled("Q: {{q}}\nA: {{ c.t.1 }} {{n}}", item) == "Q: Why?\nA: b 3");
  CHECK(filled("{single} }}", item) == "{single} }}");
  CHECK(filled("", item).empty());
  CHECK_THROWS_WITH(filled("{{qq}}", item),
                    Contains("file line 7") && Contains("'qq'") && Contains("Did you mean 'q'?"));
  CHECK_THROWS_WITH(filled("{{c.t.2}}", item), Contains("a list of 2"));
  CHECK(filled("{{x}}", item) == "None");
  CHECK_THROWS_WITH(filled("{{c}}", item), Contains("found object"));
  CHECK_THROWS_AS(filled("{{q", item), UserError);
  CHECK_THROWS_AS(filled("{{ }}", item), UserError);
}

TEST_CASE("templates print values as Jinja does", "[task]") {
  const auto items = read_written(
      "a.jsonl",
      R"({"t": true, "f": false, "n": null, "i": -7, "h": 0.5, "e": 1e15, "g": 1e16, "s": 1e-5,)"
      R"( "long": 123456789012345678901234567890, "minus": -18446744073709551616,)"
      R"( "most": 18446744073709551615, "text": "say \"12345678901234567890123\" again"})"
      "\n");
  const TextItem& item = items.at(0);
  CHECK(filled("{{t}} {{f}} {{n}} {{i}}", item) == "True False None -7");
  CHECK(filled("{{h}} {{e}} {{g}} {{s}}", item) == "0.5 1000000000000000.0 1e+16 1e-05");
  CHECK(filled("{{long}}", item) == "123456789012345678901234567890");
  CHECK(filled("{{minus}}", item) == "-18446744073709551616");
  CHECK(item.fields["most"] == UINT64_MAX);
  CHECK(filled("{{text}}", item) == "say \"12345678901234567890123\" again");
  CHECK(field_text(item, "t") == "true");  // labels are as in the file
}

TEST_CASE("a template may use all of Jinja, and errors name their place", "[task]") {
  const TextItem item{Json{{"q", "Why?"}, {"Q (EN)", "yes"}, {"list", {"a", "b"}}}, "file line 7"};
  CHECK(filled("{% if q %}{{q|upper}}{% endif %}{# note #}", item) == "WHY?");
  CHECK(filled("{{q[0]}} {{ list|join('-') }}{{- q }}", item) == "W a-bWhy?");
  CHECK(filled("{{ \"{%\" }}{{'}'}} {{Q (EN)}} {x^{2}}", item) == "{%} yes {x^{2}}");
  for (const char* source : {"{{q", "{{ }}"})
    CHECK_THROWS_WITH(filled(source, item), Contains("$.prompt: character 1"));
  for (const char* source : {"{% set x %}", "{{{q}}}", "{{'a' + q", "{{ q|no_filter }}"})
    CHECK_THROWS_AS(filled(source, item), UserError);
  CHECK_THROWS_WITH(filled("\n{{ no|upper }}", item),
                    Contains("file line 7: $.prompt: line 2: 'no' is undefined"));
  const Json list = "{{ list + ['c'] }}", field = "{{list}}", text = "{{q}}?";
  CHECK(TextTemplate(JsonReader(list, "$")).value(item) == Json{"a", "b", "c"});
  CHECK(TextTemplate(JsonReader(field, "$")).value(item) == Json{"a", "b"});
  CHECK(!TextTemplate(JsonReader(text, "$")).has_value());
  const Json description = "Of {{q}}:";
  CHECK_THROWS_AS(plain_text(JsonReader(description, "$")), UserError);
}

TEST_CASE("a key with dots takes precedence over a path through objects", "[task]") {
  const TextItem item{Json::parse(R"({"q.text": "one", "a.b": {"c.d": ["two"]}, "a": {"b": 3}})"),
                      "file line 7"};
  CHECK(filled("{{q.text}} {{a.b.c.d.0}}", item) == "one two");
  const TextItem nested{Json::parse(R"({"a": {"b": 3}, "a.b": 4, "x.": 5})"), "file line 8"};
  CHECK(filled("{{a.b}} {{x.}}", nested) == "4 5");
  CHECK_THROWS_WITH(filled("{{q.txt}}", item), Contains("Did you mean 'q.text'?"));
}

TEST_CASE("tables may have no header and another separator", "[task]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.csv", "\"one; two\";3\nfour;5\n");
  const TableFormat format{';', {"q", "a"}};
  const auto items = read_text_file(folder.path() / "a.csv", format);
  REQUIRE(items.size() == 2);
  CHECK(items[0].fields == Json{{"q", "one; two"}, {"a", "3"}});
  CHECK_THAT(items[1].where, Contains("line 2"));
  write_file(folder.path() / "b.csv", "q;a\none;2\n");
  CHECK(read_text_file(folder.path() / "b.csv", {';', {}}).at(0).fields["a"] == "2");
  write_file(folder.path() / "a.csv", "one;2;3\n");
  CHECK_THROWS_WITH(read_text_file(folder.path() / "a.csv", format),
                    Contains("3 fields, but 'columns' names 2"));
}
