#include <map>
#include <set>
#include <sstream>

#include "datasets/roff.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "harness/task/text_converter.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Words that no other document has.
std::string sentence(const std::string& document, int paragraph) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("{}-{}-{} ", document, paragraph, i);
  return text;
}

constexpr int kSections = 60;

std::string book(const std::string& language) {
  std::string text = "1. Contents\n   2. Contents\n\n";
  for (int i = 1; i <= kSections; ++i)
    text += fmt::format(
        "{}. Heading\n\n   {}\n   {}\n\n{}\n\nThe same notice stands in every section of "
        "this book, again and again, and it has many words.\n\n",
        i, sentence(language + std::to_string(i), 0), sentence(language + std::to_string(i), 1),
        sentence(language + std::to_string(i), 2));
  return text;
}

/// A package NAME with one file, packed by dpkg-deb.
void pack(const fs::path& folder, const std::string& name, const std::string& content) {
  const fs::path root = folder / "root" / name;
  fs::create_directories(root / "DEBIAN");
  fs::create_directories(root / "usr/share/doc");
  write_file(root / "DEBIAN/control",
             fmt::format("Package: {}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\n"
                         "Description: a test\n",
                         name));
  write_file(root / "usr/share/doc/book.txt", content);
  const ProcessResult done = run_process({"dpkg-deb", "--root-owner-group", "-b", root.string(),
                                          (folder / "registers" / (name + ".deb")).string()});
  if (done.exit_code != 0) testing::skip("dpkg-deb cannot pack: " + done.output);
}

std::vector<Json> lines_of(const std::string& content) {
  std::vector<Json> lines;
  std::istringstream stream(content);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("a manual page becomes plain text", "[data]") {
  CHECK(
      plain_text_of_man_page(".TH LS 1\n.\\\" a comment\n.SH NAME\nls \\- list\n"
                             "directory \\fIcontents\\fP\n.PP\n.BR ls (1)\nand\n.B \"two words\"\n"
                             ".nf\na\n  b\n.fi\n.TS\na table\n.TE\n\\(aqx\\(aq \\e n\n") ==
      "NAME\n\nls - list directory contents\n\nls(1) and two words\n\na\n  b\n\n'x' \\ n\n\n");
  CHECK(plain_text_of_man_page(".Dd January 1\n.Sh NAME\n").empty());
  CHECK(plain_text_of_man_page("\\").empty());
  CHECK(plain_text_of_man_page(".B \"open\n\\f[").find("open") == 0);
}

TEST_CASE("documents are in one split in every language, and no split repeats another",
          "[data][optional]") {
  const TemporaryFolder folder;
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path().string());
  fs::create_directories(folder.path() / "registers");
  DatasetManifest manifest;
  manifest.name = "registers";
  manifest.loader = "documents";
  for (const std::string language : {"en", "de"}) {
    pack(folder.path(), "book-" + language, book(language));
    manifest.files.push_back({"book-" + language + ".deb", "", "book-" + language, ""});
    manifest.options["cells"]["books-" + language] = {{"register", "books"},
                                                      {"package", "book-" + language},
                                                      {"path", "usr/share/doc/book.txt"},
                                                      {"format", "sections"}};
  }
  manifest.options.update(Json::parse(R"({"seed": 1, "shingle": 8, "shortest": 100, "longest": 5000,
      "shares": {"train": 0.5, "validation": 0.2, "test": 0.3},
      "bytes": {"train": 100000, "validation": 100000, "test": 100000},
      "questions": {"items": 10, "choices": 3, "context": 60, "continuation": 30}})"));

  const auto files = text_converters().at("documents", "a test").convert(manifest);

  std::map<std::string, std::set<std::string>> splits_of;  // by section
  size_t documents = 0, notices = 0;
  for (const std::string language : {"en", "de"})
    for (const std::string split : {"train", "validation", "test"}) {
      const auto lines = lines_of(files.at(fmt::format("books-{}.{}.jsonl", language, split)));
      CHECK_FALSE(lines.empty());
      for (const Json& line : lines) {
        splits_of[line.at("document")].insert(split);
        const std::string text = line.at("text");
        CHECK_THAT(text, Contains(language + line.at("document").get<std::string>() + "-0-0"));
        notices += text.find("The same notice") != std::string::npos ? 1 : 0;
      }
      documents += lines.size();
    }
  CHECK(documents == 2 * kSections);
  CHECK(splits_of.size() == kSections);
  for (const auto& [document, splits] : splits_of) CHECK(splits.size() == 1);
  CHECK(notices == 1);  // of all that repeat it, one keeps it

  const auto questions = lines_of(files.at("books-de.next.test.jsonl"));
  CHECK(questions.size() == 10);
  for (const Json& question : questions) {
    CHECK(question.at("choices").size() == 3);
    CHECK(std::set<Json>(question.at("choices").begin(), question.at("choices").end()).size() == 3);
    const std::string own = "de" + question.at("document").get<std::string>() + "-";
    for (size_t i = 0; i < 3; ++i)
      CHECK((question.at("choices")[i].get<std::string>().find(own) != std::string::npos) ==
            (i == question.at("label").get<size_t>()));
  }
  Json wrong = manifest.options;
  wrong["cells"]["books-en"]["path"] = "usr/share/doc/none.txt";
  manifest.options = wrong;
  CHECK_THROWS_WITH(text_converters().at("documents", "a test").convert(manifest),
                    Contains("none.txt"));
}
