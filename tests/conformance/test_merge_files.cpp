// Merge files that lack something that a method declares to need.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/merge/request/merge_file.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

/// The decoders as folders: base, 0, 1, 2; "foreign" has another tokenizer, "unrelated" starts from
/// another initialisation.
class ModelFolders {
 public:
  explicit ModelFolders(const std::string& type) {
    const Networks models = decoders(type);
    write("base", models, *models.base);
    for (size_t i = 0; i < models.experts.size(); ++i)
      write(fmt::format("{}", i), models, *models.experts[i]);
    write("foreign", models, *models.experts[0], 1, R"({"model": {"type": "WordLevel"}})");
    write("unrelated", models, *models.experts[0], 2);
  }

  /// What a merge file gives a method that has all that it needs.
  Json whole_file(const std::string& ref) const {
    const Needs needs = make_method(ref, JsonReader(Json::object(), "test"))->needs();
    Json file{{"method", ref}, {"experts", Json::array()}};
    const int count = std::clamp(3, needs.min_experts, needs.max_experts);
    for (int i = 0; i < count; ++i) file["experts"].push_back(fmt::format("{}", i));
    if (needs.base) file["base"] = "base";
    if (needs_data(needs)) file["calibration"] = Json::object();
    return file;
  }
  /// Why the merge is refused before a tensor or a data set is read; empty when it is not.
  std::string refusal(const Json& file, bool architecture = true) const {
    MergeChoices choices;
    if (architecture) choices.blocks = [](const Checkpoint&) { return BlockOfTensor(); };
    write_file(folder_.path() / "merge.json", file.dump());
    try {
      const MergeRequest request = MergeRequest::read(folder_.path() / "merge.json", choices);
      return request.problems.empty() ? "" : request.problems.front();
    } catch (const std::exception& error) {
      return error.what();
    }
  }

 private:
  void write(const std::string& name, const Networks& models, const TensorSource& model,
             int64_t seed = 1, const std::string& tokenizer = word_tokenizer()) const {
    StateDict tensors;
    for (const TensorInfo& info : model.tensors()) tensors[info.name] = model.read(info.name);
    const Json origin{{"recipe_hash", "x"}, {"init", "random"}, {"seed", seed}};
    const fs::path path = folder_.path() / name;
    write_checkpoint(path, tensors, {models.architecture->config(), origin, "", {}}, false);
    write_file(path / "tokenizer.json", tokenizer);
  }

  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("every method's merge file is refused where something that it needs is missing",
          "[conformance]") {
  static const ModelFolders dense("llama"), mixtures("mixtral");
  const auto ref = GENERATE(from_range(all_refs()));
  const ModelFolders& folders = takes_mixture(ref) ? mixtures : dense;
  CAPTURE(ref);
  const Needs needs = make_method(ref, JsonReader(Json::object(), "test"))->needs();
  const Json whole = folders.whole_file(ref);
  CHECK_THAT(folders.refusal(whole), Equals(""));

  const auto without = [&](const std::string& key) {
    Json file = whole;
    file.erase(key);
    return folders.refusal(file);
  };
  const auto first_expert = [&](const std::string& name) {
    Json file = whole;
    file["experts"].insert(file["experts"].begin(), name);
    if (needs.max_experts < 4) file["experts"].erase(file["experts"].size() - 1);
    return folders.refusal(file);
  };
  if (needs.base) CHECK_THAT(without("base"), Contains("needs the base checkpoint"));
  if (needs_data(needs))
    CHECK_THAT(without("calibration"),
               Contains("needs calibration data") || Contains("needs gradients"));
  if (needs.architecture)
    CHECK_THAT(folders.refusal(whole, /*architecture=*/false), Contains("the models' layers"));
  if (needs.tokenizer) CHECK_THAT(first_expert("foreign"), Contains("one tokenizer"));
  const bool compares = needs.base || whole["experts"].size() > 1;
  if (needs.same_initialization && compares)
    CHECK_THAT(first_expert("unrelated"), Contains("seed 1") && Contains("seed 2"));
  else if (!needs.same_initialization)
    CHECK_THAT(first_expert("unrelated"), Equals(""));
}
