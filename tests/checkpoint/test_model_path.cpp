#include "harness/checkpoint/model_path.h"

#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// A home folder with a hub cache, and models outside it.
class Home {
 public:
  Home()
      : home_("HOME", folder_.path()),
        hub_("HF_HUB_CACHE", ""),
        hf_home_("HF_HOME", ""),
        xdg_("XDG_CACHE_HOME", "") {}

  void model(const std::string& name) const {
    fs::create_directories(path(name));
    write_safetensors(path(name) / kWeightsName, {{"w", at::ones({2, 2})}});
  }
  void adapter(const std::string& name, const std::string& base = "") const {
    fs::create_directories(path(name));
    write_file(path(name) / "adapter_config.json",
               Json{{"peft_type", "LORA"}, {"base_model_name_or_path", base}}.dump());
    write_safetensors(path(name) / "adapter_model.safetensors", {});
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  ModelPath find(const std::string& name, const ModelPath* base = nullptr) const {
    return find_model(name, folder_.path(), base);
  }
  std::string error(const std::string& name, const ModelPath* base = nullptr) const {
    try {
      find(name, base);
    } catch (const UserError& e) {
      return e.what();
    }
    return "found";
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable home_, hub_, hf_home_, xdg_;
};

}  // namespace

TEST_CASE("a model of the hub's cache is its snapshot", "[checkpoint]") {
  const Home home;
  const std::string hub = ".cache/huggingface/hub/models--org--m/";
  home.model(hub + "snapshots/abc");
  home.model(hub + "snapshots/def");
  write_file(home.path(hub + "refs/main"), "abc\n");
  write_file(home.path(hub + "refs/old"), "def");

  const ModelPath found = home.find("org/m");
  CHECK(found.path == home.path(hub + "snapshots/abc"));
  CHECK(found.adapter.empty());
  REQUIRE(found.notes.size() == 1);
  CHECK_THAT(found.notes[0], Contains("'org/m'") && Contains("snapshots/abc"));
  CHECK(found.cached.at(0).second == found.path);
  CHECK(home.find("org/m@old").path == home.path(hub + "snapshots/def"));
  CHECK(home.find("org/m@def").path == home.path(hub + "snapshots/def"));
  CHECK_THAT(home.error("org/m@new"), Contains("no snapshot of 'new'") && Contains("main"));
  CHECK_THAT(home.error("org/none"), Contains("huggingface-cli download org/none"));
  CHECK_THAT(home.error("none"), !Contains("huggingface-cli"));
  CHECK_THAT(home.error("org/m@../../x"), !Contains("snapshot"));

  home.model("org/m");  // a folder of that name takes precedence
  CHECK(home.find("org/m").path == home.path("org/m"));
  CHECK(home.find("org/m").notes.empty());
}

TEST_CASE("Hugging Face's environment variables give the cache's path", "[checkpoint]") {
  const Home home;
  home.model("a/models--gpt/snapshots/1");
  write_file(home.path("a/models--gpt/refs/main"), "1");
  home.model("b/hub/models--gpt/snapshots/2");
  write_file(home.path("b/hub/models--gpt/refs/main"), "2");

  const EnvironmentVariable hf_home("HF_HOME", "~/b");
  CHECK(home.find("gpt").path.filename() == "2");
  const EnvironmentVariable hub("HF_HUB_CACHE", home.path("a"));
  CHECK(home.find("gpt").path.filename() == "1");
}

TEST_CASE("~ is the home folder", "[checkpoint]") {
  const Home home;
  home.model("models/m");
  CHECK(home.find("~/models/m").path == home.path("models/m"));
  CHECK(home.find(home.path("models/./m/").string()).path == home.path("models/m"));
}

TEST_CASE("a path is resolved as the kernel does", "[checkpoint]") {
  const Home home;
  home.model("elsewhere/tgt");
  home.model("deep/tgt");
  fs::create_directories(home.path("elsewhere/dir"));
  fs::create_directory_symlink(home.path("elsewhere/dir"), home.path("deep/link"));
  CHECK(home.find("deep/link/../tgt").path == fs::canonical(home.path("elsewhere/tgt")));
}

TEST_CASE("an adapter is applied to the model that is named with it", "[checkpoint]") {
  const Home home;
  home.model("base");
  home.model("c++");
  home.model("other+x");
  home.adapter("x", "org/base");

  const ModelPath named = home.find("base+x");
  CHECK(named.path == home.path("base"));
  CHECK(named.adapter == home.path("x"));
  CHECK(named.notes.empty());  // the names of the base have the same last component
  CHECK(home.find("c++").path == home.path("c++"));
  CHECK(home.find("other+x").adapter.empty());  // a folder of that name
  const ModelPath other = home.find("c+++x");
  CHECK(other.path == home.path("c++"));
  REQUIRE(other.notes.size() == 1);
  CHECK_THAT(other.notes[0], Contains("names the base 'org/base'"));

  home.adapter("my+lora", "base");
  CHECK(home.find("base+my+lora").path == home.path("base"));
  CHECK(home.find("base+my+lora").adapter == home.path("my+lora"));
  CHECK(home.find("c+++my+lora").path == home.path("c++"));
  CHECK_THAT(home.error("base+x+x"), Contains("has an adapter already"));

  const ModelPath base = home.find("base");
  CHECK(home.find("x", &base).text() == named.text());
  CHECK(home.find("c++", &base).adapter.empty());
  const ModelPath twice = home.find("base+x");
  CHECK_THAT(home.error("x", &twice), Contains("has an adapter already"));
}

TEST_CASE("an adapter without a base is an error with a remedy", "[checkpoint]") {
  const Home home;
  home.adapter("x", "org/base");
  home.model("base");

  for (const char* name : {"x", "x/adapter_model.safetensors"})
    CHECK_THAT(home.error(name), Contains("is a LoRA adapter, not a model") && Contains("'BASE+") &&
                                     Contains("names 'org/base'"));
  CHECK_THAT(home.error("base+base"), Contains("is not a LoRA adapter"));
  CHECK_THAT(home.error("base+none"), Contains("'none'"));
}
