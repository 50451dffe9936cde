#include <ATen/ATen.h>

#include "harness/core/files.h"
#include "harness/lm/zero_shot.h"
#include "harness/task/task.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kClip = fs::path(ASSAY_TESTS_FOLDER) / "golden/models/clip";
const std::vector<std::string> kNames = {"zero", "one", "two"}, kTemplates = {"a photo of {}."};

Json zero_shot_definition() {
  return {{"classes", 3},
          {"dataset", "optdigits"},
          {"labels", {0, 1, 2}},
          {"zero_shot",
           {{"model", kClip.string()}, {"class_names", kNames}, {"templates", kTemplates}}}};
}

std::shared_ptr<const Task> zero_shot_task(const Json& json) {
  return task_kinds().at("image_classification", "the test")("suite/mine",
                                                             JsonReader(json, "$.tasks[0]"));
}

/// Gives every item the features of a class's text, five times as long.
class TextFeatures : public Predictor {
 public:
  explicit TextFeatures(at::Tensor classes)
      : classes_(std::move(classes)),
        head_(zero_shot_head(open_text_tower(kClip.string(), "the test", at::kCPU),
                             {kClip.string(), kNames, kTemplates}, "the test")) {}
  at::Tensor logits(const at::Tensor& inputs) const override {
    const at::Tensor chosen = classes_.narrow(0, seen_, inputs.size(0));
    seen_ += inputs.size(0);
    return (head_.index_select(0, chosen) * 5).to(at::kFloat);
  }
  at::Device device() const override { return at::kCPU; }

 private:
  at::Tensor classes_, head_;
  mutable int64_t seen_ = 0;
};

/// Gives every item these features.
class SameFeatures : public Predictor {
 public:
  explicit SameFeatures(const at::Tensor& features) : features_(features.to(at::kFloat)) {}
  at::Tensor logits(const at::Tensor& inputs) const override {
    return features_.unsqueeze(0).expand({inputs.size(0), features_.size(0)});
  }
  at::Device device() const override { return at::kCPU; }

 private:
  at::Tensor features_;
};

}  // namespace

TEST_CASE("a zero-shot task scores features by the closest text", "[task]") {
  const Json json = zero_shot_definition();
  const auto task = zero_shot_task(json);
  const at::Tensor targets = task->examples(Split::kTest).targets;

  CHECK(task->evaluate(TextFeatures(targets), Split::kTest)[0].value == 1.0);
  const auto ones = task->evaluate(TextFeatures(at::ones_like(targets)), Split::kTest);
  CHECK(ones[0].value == Approx((targets == 1).to(at::kDouble).mean().item<double>()));
}

TEST_CASE("a zero-shot head scores every member of an ensemble", "[task]") {
  const ZeroShotHead head({kClip.string(), kNames, kTemplates}, "the test");
  const at::Tensor texts = zero_shot_head(open_text_tower(kClip.string(), "the test", at::kCPU),
                                          {kClip.string(), kNames, kTemplates}, "the test");
  // Two are at the text of class 1. The third, at that of class 0, has features so long that the
  // mean of all features is there, too.
  const std::vector<at::Tensor> features{texts[1], texts[1], 100 * texts[0]};
  std::vector<std::shared_ptr<const Predictor>> members;
  std::vector<at::Tensor> scores;
  for (const at::Tensor& one : features) {
    members.push_back(std::make_shared<SameFeatures>(one));
    scores.push_back(head.logits(one.to(at::kFloat).unsqueeze(0)));
  }
  const auto best = [](const at::Tensor& of) { return of.argmax(-1).item<int64_t>(); };
  CHECK(best(head.logits(at::stack(features).mean(0, /*keepdim=*/true))) == 0);
  CHECK(best(combined_logits(EnsembleRule::kVotes, scores)) == 1);

  const Json json = zero_shot_definition();
  const auto task = zero_shot_task(json);
  const at::Tensor targets = task->examples(Split::kTest).targets;
  for (const EnsembleRule rule : {EnsembleRule::kUsual, EnsembleRule::kLogits,
                                  EnsembleRule::kProbabilities, EnsembleRule::kVotes}) {
    CAPTURE(ensemble_rule_name(rule));
    const EnsemblePredictor ensemble(members, rule);
    const at::Tensor found = ensemble.scores(
        at::zeros({1, 1}), [&](const at::Tensor& outputs) { return head.logits(outputs); });
    const at::Tensor expected = combined_logits(rule, scores);
    CHECK(at::equal(found, expected));
    const at::Tensor hits = targets == best(expected);
    CHECK(task->evaluate(ensemble, Split::kTest)[0].value ==
          Approx(hits.to(at::kDouble).mean().item<double>()));
  }
}

TEST_CASE("a zero-shot head is part of the task", "[task]") {
  const Json json = zero_shot_definition();
  const std::string hash = zero_shot_task(json)->hash();
  Json other = json;
  other["zero_shot"]["templates"] = {"{}"};
  CHECK(zero_shot_task(other)->hash() != hash);
  other = json;
  other.erase("zero_shot");
  CHECK(zero_shot_task(other)->hash() != hash);

  other = json;
  other["zero_shot"]["class_names"] = {"zero", "one"};
  CHECK_THROWS_WITH(zero_shot_task(other),
                    Contains("$.tasks[0].zero_shot.class_names") && Contains("3 classes"));
  other = json;
  other["zero_shot"]["template"] = {"{}"};
  CHECK_THROWS_WITH(zero_shot_task(other), Contains("'template'"));
  other = json;
  other["zero_shot"]["templates"] = Json::array();
  CHECK_THROWS_WITH(zero_shot_task(other), Contains("zero_shot.templates"));
}
