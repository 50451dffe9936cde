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

TEST_CASE("compressed files are read as if they were not", "[task]") {
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

TEST_CASE("broken files name the place", "[task]") {
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
  CHECK_THROWS_AS(read_written("a.parquet", ""), UserError);
  CHECK_THROWS_AS(read_text_file("/nowhere/a.json"), DataError);
}

TEST_CASE("templates put fields into text", "[task]") {
  const TextItem item{Json::parse(R"({"q": "Why?", "n": 3, "c": {"t": ["a", "b"]}, "x": null})"),
                      "file line 7"};
  CHECK(filled("Q: {{q}}\nA: {{ c.t.1 }} {{n}}", item) == "Q: Why?\nA: b 3");
  CHECK(filled("{single} }}", item) == "{single} }}");
  CHECK(filled("", item).empty());
  CHECK_THROWS_WITH(filled("{{qq}}", item),
                    Contains("file line 7") && Contains("'qq'") && Contains("Did you mean 'q'?"));
  CHECK_THROWS_WITH(filled("{{c.t.2}}", item), Contains("a list of 2"));
  CHECK_THROWS_WITH(filled("{{x}}", item), Contains("found null"));
  CHECK_THROWS_WITH(filled("{{c}}", item), Contains("found object"));
  CHECK_THROWS_AS(filled("{{q", item), UserError);
  CHECK_THROWS_AS(filled("{{ }}", item), UserError);
}
