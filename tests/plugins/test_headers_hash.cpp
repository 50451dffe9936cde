/// The part of plugins' ABI that comes from the public headers.
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "harness/plugin/plugins.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kSource = fs::path(ASSAY_TESTS_FOLDER).parent_path();

/// A copy of the headers, to be changed.
class Headers {
 public:
  Headers() {
    for (const char* module : {"harness", "methods"})
      for (const auto& entry : fs::recursive_directory_iterator(kSource / module))
        if (entry.path().extension() == ".h") {
          const fs::path copy = folder_.path() / fs::relative(entry.path(), kSource);
          fs::create_directories(copy.parent_path());
          fs::copy_file(entry.path(), copy);
        }
  }
  std::string hash() const {
    const ProcessResult result =
        run_process({"cmake", "-DSOURCE_DIR=" + folder_.path().string(),
                     "-DHEADER=" + (folder_.path() / "hash.h").string(), "-P",
                     (kSource / "cmake/HeadersHash.cmake").string()});
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    return read_file(folder_.path() / "hash.h");
  }
  void replace(const std::string& header, const std::string& from, const std::string& to) const {
    std::string text = read_file(folder_.path() / header);
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    write_file(folder_.path() / header, text);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("the ABI changes with the declarations of public headers, and with nothing else",
          "[plugins]") {
  const Headers headers;
  const std::string before = headers.hash();
  const std::string digits = before.substr(before.find('"') + 1, 16);
  CHECK_THAT(std::string(plugin_abi()), Contains("headers " + digits));

  headers.replace("harness/method/info.h", "/// What a method declares",
                  "/// All a method declares");
  headers.replace("harness/method/info.h", "namespace assay {\n", "namespace assay {\n\n\n");
  headers.replace("harness/plugin/plugins.h", "void load_plugin(",
                  "int load_plugin(");  // not public
  CHECK(headers.hash() == before);

  const auto [header, from, to] = GENERATE(table<std::string, std::string, std::string>(
      {{"harness/method/info.h", "int version = 1;", "int version = 1, revision = 0;"},
       {"harness/core/json.h", "namespace assay {", "namespace assay {\nint more();"},
       {"harness/checkpoint/tensors.h", "namespace assay {", "namespace assay {\nint more();"},
       {"harness/kernels/sums/weighted_sum.h", "namespace assay {",
        "namespace assay {\nint more();"}}));
  headers.replace(header, from, to);
  CHECK(headers.hash() != before);
}
