#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <limits>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

// Scores made by a function of (position of the item in its split, class).
class MadeUp : public Predictor {
 public:
  MadeUp(int64_t classes, std::function<float(int64_t, int64_t)> score)
      : classes_(classes), score_(std::move(score)) {}
  at::Tensor logits(const at::Tensor& inputs) const override {
    at::Tensor out = at::empty({inputs.size(0), classes_}, at::kFloat);
    for (int64_t i = 0; i < out.size(0); ++i, ++seen_)
      for (int64_t c = 0; c < classes_; ++c) out[i][c] = score_(seen_, c);
    largest_batch_ = std::max(largest_batch_, inputs.size(0));
    return out;
  }
  at::Device device() const override { return at::kCPU; }
  int64_t largest_batch() const { return largest_batch_; }

 private:
  int64_t classes_;
  std::function<float(int64_t, int64_t)> score_;
  mutable int64_t seen_ = 0, largest_batch_ = 0;
};

std::shared_ptr<const Task> make(const Json& definition) {
  return task_kinds().at("image_classification", "the test")("suite/mine",
                                                             JsonReader(definition, "$.tasks[0]"));
}

Json definition() { return {{"classes", 20}, {"dataset", "mnist5k"}, {"labels", {3, 4, 5}}}; }

}  // namespace

TEST_CASE("acc counts over all labels, acc_own among the task's", "[task]") {
  const auto task = load_task("digits/optdigits-012");
  const Examples items = task->examples(Split::kValidation);
  const auto n = static_cast<size_t>(items.targets.size(0));
  // Always 1 among {0, 1, 2}; for every second item class 7 is stronger still.
  const MadeUp predictor(20, [](int64_t i, int64_t c) {
    if (c == 7) return i % 2 == 0 ? 9.f : -9.f;
    return c == 1 ? 5.f : 0.f;
  });

  const std::vector<MetricResult> results = task->evaluate(predictor, Split::kValidation);

  REQUIRE(results.size() == 2);
  CHECK(results[0].metric == "acc");
  CHECK(results[1].metric == "acc_own");
  REQUIRE(results[0].outcomes.size() == n);
  REQUIRE(results[1].outcomes.size() == n);
  double joint = 0, own = 0;
  for (size_t i = 0; i < n; ++i) {
    const bool is_one = items.targets[static_cast<int64_t>(i)].item<int64_t>() == 1;
    CHECK(results[0].outcomes[i] == (is_one && i % 2 == 1 ? 1.f : 0.f));
    CHECK(results[1].outcomes[i] == (is_one ? 1.f : 0.f));
    joint += results[0].outcomes[i];
    own += results[1].outcomes[i];
  }
  CHECK(own > joint);
  CHECK(results[0].value == Approx(joint / static_cast<double>(n)));
  CHECK(results[1].value == Approx(own / static_cast<double>(n)));
}

TEST_CASE("a definition says which accuracy is the primary metric", "[task]") {
  CHECK(make(definition())->primary_metric() == "acc");
  Json own = definition();
  own["metrics"] = {"acc_own", "acc"};
  CHECK(make(own)->primary_metric() == "acc_own");
  own["metrics"] = {"acc_own"};
  CHECK_THROWS_WITH(make(own), Contains("metrics") && Contains("acc_own"));
}

TEST_CASE("equal scores go to the lowest label", "[task]") {
  const auto task = load_task("digits/mnist-345");
  const MadeUp flat(20, [](int64_t, int64_t) { return 0.f; });

  const auto results = task->evaluate(flat, Split::kTest);

  CHECK(results[0].value == 0.0);              // label 0 is not one of the task's
  CHECK(results[1].value == Approx(1.0 / 3));  // label 3, a third of the items
}

TEST_CASE("items go through the model in batches, in the order of examples()", "[task]") {
  const auto task = load_task("digits/mnist-6789");
  const Examples items = task->examples(Split::kTest);
  REQUIRE(items.targets.size(0) > 512);
  const MadeUp oracle(
      20, [&](int64_t i, int64_t c) { return items.targets[i].item<int64_t>() == c ? 1.f : 0.f; });

  const auto results = task->evaluate(oracle, Split::kTest);

  CHECK(results[0].value == 1.0);
  CHECK(oracle.largest_batch() == 512);
}

TEST_CASE("scores that are not finite or of the wrong shape name the task", "[task]") {
  const auto task = load_task("digits/optdigits-345");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const MadeUp broken(20, [&](int64_t i, int64_t c) { return i == 7 && c == 12 ? bad : 0.f; });
    CHECK_THROWS_WITH(task->evaluate(broken, Split::kTest), Contains("digits/optdigits-345") &&
                                                                Contains("class 12") &&
                                                                Contains("not finite"));
  }
  const MadeUp narrow(10, [](int64_t, int64_t) { return 0.f; });
  CHECK_THROWS_AS(task->evaluate(narrow, Split::kTest), DataError);
}

TEST_CASE("the splits of a task hold its own labels only, each item once", "[task]") {
  const auto task = load_task("digits/font-6789");
  int64_t total = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const Examples items = task->examples(split);
    CHECK(items.targets.min().item<int64_t>() == 6);
    CHECK(items.targets.max().item<int64_t>() == 9);
    CHECK(items.inputs.size(0) == items.targets.size(0));
    CHECK(task->size(split) == items.targets.size(0));
    total += items.targets.size(0);
  }
  const at::Tensor labels = load_dataset("font_digits")->labels;
  CHECK(total == labels.ge(6).sum().item<int64_t>());
}

TEST_CASE("a task whose split is empty says so", "[task]") {
  Json bad = definition();
  bad["labels"] = {15};
  CHECK_THROWS_WITH(make(bad)->examples(Split::kTest),
                    Contains("suite/mine") && Contains("test split") && Contains("'mnist5k'"));
}

TEST_CASE("data that changed after the task was made is refused", "[task]") {
  const DatasetManifest good = read_manifest("font_digits");
  fetch_dataset(good);
  const TemporaryFolder folder;
  fs::copy(good.folder(), folder.path() / "font_digits");
  const EnvironmentVariable data("ASSAY_DATA_DIR", folder.path());
  Json fonts = definition();
  fonts["dataset"] = "font_digits";
  const auto task = make(fonts);
  REQUIRE(task->size(Split::kTest) > 0);

  // Simulates another fetched version of the package: one byte more, as recorded in fetched.json.
  const fs::path face = folder.path() / "font_digits" / "DejaVuSans.ttf";
  const std::string content = read_file(face) + "x";
  write_file(face, content);
  write_file(folder.path() / "font_digits" / "fetched.json",
             Json{{"packages", {{"fonts-dejavu-core", "2.37-8"}}},
                  {"files", {{"DejaVuSans.ttf", sha256_bytes(content)}}}}
                 .dump());

  CHECK_THROWS_WITH(task->size(Split::kTest),
                    Contains("'font_digits' has changed since the task was read"));
  CHECK(make(fonts)->hash() != task->hash());
  CHECK(make(fonts)->size(Split::kTest) > 0);
}

TEST_CASE("a wrong definition is refused with location and name", "[task]") {
  const auto message_of = [](const std::string& key, const Json& value) {
    Json bad = definition();
    bad[key] = value;
    try {
      make(bad);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message_of("classes", 20) == "accepted");
  CHECK_THAT(message_of("labels", {3, 20}), Contains("$.tasks[0].labels[1]") && Contains("0..19"));
  CHECK_THAT(message_of("labels", {3, -1}), Contains("0..19"));
  CHECK_THAT(message_of("labels", {3, 3}), Contains("twice"));
  CHECK_THAT(message_of("labels", Json::array()), Contains("at least one label"));
  CHECK_THAT(message_of("labels", "3"), Contains("expected a list"));
  CHECK_THAT(message_of("classes", 1), Contains("at least 2 classes"));
  CHECK_THAT(message_of("dataset", "mnist"),
             Contains("unknown dataset 'mnist'") && Contains("'mnist5k'"));
  CHECK_THAT(message_of("label", 3), Contains("'label'") && Contains("'labels'"));
}

TEST_CASE("a task's hash depends on its definition and its data", "[task]") {
  Json other_labels = definition(), other_data = definition();
  other_labels["labels"] = {3, 4};
  other_data["dataset"] = "optdigits";
  CHECK(make(definition())->hash() == make(definition())->hash());
  CHECK(make(definition())->hash() != make(other_labels)->hash());
  CHECK(make(definition())->hash() != make(other_data)->hash());
}
