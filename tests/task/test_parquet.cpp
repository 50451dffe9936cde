// Parquet files that pyarrow wrote (scripts/peers/parquet_goldens.py), where Assay was built with
// Parquet; else what it says of them.
#include "harness/core/error.h"
#include "harness/task/internal/parquet_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kParquet = fs::path(ASSAY_TESTS_FOLDER) / "golden/parquet";

void check_advice(const std::string& file) {
  CHECK_THROWS_WITH(read_text_file(kParquet / file),
                    Contains(file) && Contains("without Parquet") && Contains("fetch_arrow.sh"));
}

}  // namespace

TEST_CASE("a Parquet file has the items of the same rows in JSON lines", "[task]") {
  if (!has_parquet()) return check_advice("rows.parquet");
  const std::vector<TextItem> rows = read_text_file(kParquet / "rows.parquet");
  const std::vector<TextItem> lines = read_text_file(kParquet / "rows.jsonl");
  REQUIRE(rows.size() == 3);
  REQUIRE(lines.size() == 3);
  for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].fields == lines[i].fields);
  CHECK_THAT(rows[2].where, Contains("rows.parquet row 3"));
  CHECK(rows[2].fields["label"] == 9007199254740993);  // no double has it
}

TEST_CASE("what is no table of text and numbers is an error that names file and column", "[task]") {
  if (!has_parquet()) return check_advice("date.parquet");
  CHECK_THROWS_WITH(read_text_file(kParquet / "date.parquet"),
                    Contains("date.parquet: column 'day'") && Contains("date32"));
  const TemporaryFolder folder;
  write_file(folder.path() / "broken.parquet", "PAR1 and no more");
  CHECK_THROWS_AS(read_text_file(folder.path() / "broken.parquet"), DataError);
  CHECK_THROWS_WITH(read_text_file(folder.path() / "absent.parquet"), Contains("absent.parquet"));
}
