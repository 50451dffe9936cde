// Image classification over a joint label space that several tasks share. Each task owns some of
// the labels of one dataset. Scores are the model's outputs, or those of a zero-shot head that
// reads them as features.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/lm/zero_shot.h"
#include "harness/task/task.h"

namespace assay {
namespace {

struct Definition {
  std::string dataset;
  std::vector<int64_t> labels;  // ascending
  int64_t classes;              // of the joint label space
  bool own_first = false;       // acc_own is the primary metric
  /// Absent: the model's outputs are the scores of the classes.
  std::shared_ptr<const ZeroShotHead> head{};
};

std::shared_ptr<const ZeroShotHead> read_zero_shot(JsonReader reader, int64_t classes) {
  ZeroShotSpec spec;
  spec.model = reader.string("model");
  const JsonReader names = reader.at("class_names"), templates = reader.at("templates");
  spec.class_names = names.as_strings();
  spec.templates = templates.as_strings();
  reader.finish();
  if (static_cast<int64_t>(spec.class_names.size()) != classes)
    names.fail(fmt::format("expected a name for each of {} classes", classes));
  if (spec.templates.empty()) templates.fail("expected at least one, as \"a photo of a {}.\"");
  return std::make_shared<const ZeroShotHead>(std::move(spec), reader.where());
}

Definition read_definition(JsonReader reader) {
  Definition definition;
  const JsonReader classes = reader.at("classes");
  definition.classes = classes.as_integer();
  if (definition.classes < 2) classes.fail("expected at least 2 classes");
  definition.dataset = reader.string("dataset");
  const JsonReader labels = reader.at("labels");
  for (const JsonReader& element : labels.elements()) {
    const int64_t label = element.as_integer();
    if (label < 0 || label >= definition.classes)
      element.fail(fmt::format("a label must be in 0..{}", definition.classes - 1));
    definition.labels.push_back(label);
  }
  std::sort(definition.labels.begin(), definition.labels.end());
  if (definition.labels.empty()) labels.fail("a task needs at least one label");
  if (std::adjacent_find(definition.labels.begin(), definition.labels.end()) !=
      definition.labels.end())
    labels.fail("a label occurs twice");
  if (const auto metrics = reader.find("metrics")) {
    const std::vector<std::string> names = metrics->as_strings();
    definition.own_first = names == std::vector<std::string>{"acc_own", "acc"};
    if (!definition.own_first && names != std::vector<std::string>{"acc", "acc_own"})
      metrics->fail("expected [\"acc\", \"acc_own\"] in the order of their weight");
  }
  const auto zero_shot = reader.find("zero_shot");
  reader.finish();
  if (zero_shot) definition.head = read_zero_shot(*zero_shot, definition.classes);
  return definition;
}

// A zero-shot head counts by what it is made of, wherever that lies. Version 2 of tasks with one
// scores every member of an ensemble.
std::string hash_of(Json json, const Definition& definition, const std::string& dataset_hash) {
  if (definition.head) json["zero_shot"] = definition.head->hash();
  return Hasher()
      .text(definition.head ? "image_classification 2" : "image_classification 1")
      .text(canonical(json))
      .text(dataset_hash)
      .hex();
}

class ImageClassification : public Task {
 public:
  ImageClassification(const std::string& name, const Json& json, Definition definition,
                      std::string dataset_hash)
      : Task(name, hash_of(json, definition, dataset_hash), json),
        definition_(std::move(definition)),
        dataset_hash_(std::move(dataset_hash)) {}

  std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const override;
  std::string primary_metric() const override { return definition_.own_first ? "acc_own" : "acc"; }
  Examples examples(Split split) const override;
  int64_t size(Split split) const override { return examples(split).targets.size(0); }

 private:
  // Checks shape and finiteness; float32 on CPU, contiguous.
  at::Tensor checked_logits(const Predictor& predictor, const at::Tensor& inputs) const;

  Definition definition_;
  std::string dataset_hash_;
};

// Argmax; ties go to the first candidate, independent of an implementation.
int64_t most_likely(const float* logits, const std::vector<int64_t>& candidates) {
  int64_t best = candidates.front();
  for (const int64_t candidate : candidates)
    if (logits[candidate] > logits[best]) best = candidate;
  return best;
}

std::vector<MetricResult> ImageClassification::evaluate(const Predictor& predictor,
                                                        Split split) const {
  constexpr int64_t kBatch = 512;
  const c10::NoGradGuard no_gradients;
  const Examples items = examples(split);
  const int64_t n = items.targets.size(0);
  std::vector<int64_t> all_labels(static_cast<size_t>(definition_.classes));
  std::iota(all_labels.begin(), all_labels.end(), int64_t{0});

  const auto target = items.targets.accessor<int64_t, 1>();
  std::vector<double> joint, own;
  for (int64_t start = 0; start < n; start += kBatch) {
    const int64_t count = std::min(kBatch, n - start);
    const at::Tensor logits = checked_logits(predictor, items.inputs.narrow(0, start, count));
    const float* row = logits.const_data_ptr<float>();
    for (int64_t i = start; i < start + count; ++i, row += definition_.classes) {
      joint.push_back(most_likely(row, all_labels) == target[i] ? 1 : 0);
      own.push_back(most_likely(row, definition_.labels) == target[i] ? 1 : 0);
    }
  }
  std::vector<MetricResult> results{mean_of("acc", std::move(joint)),
                                    mean_of("acc_own", std::move(own))};
  if (definition_.own_first) std::swap(results[0], results[1]);
  return results;
}

at::Tensor ImageClassification::checked_logits(const Predictor& predictor,
                                               const at::Tensor& inputs) const {
  const at::Tensor there = inputs.to(predictor.device());
  const ZeroShotHead* head = definition_.head.get();
  at::Tensor logits =
      head ? predictor.scores(there, [&](const at::Tensor& x) { return head->logits(x); })
           : predictor.logits(there);
  logits = logits.to(at::TensorOptions().device(at::kCPU).dtype(at::kFloat)).contiguous();
  if (logits.dim() != 2 || logits.size(0) != inputs.size(0) ||
      logits.size(1) != definition_.classes)
    data_error("task '{}': the model gives scores of shape [{}], expected [{}, {}]", name(),
               fmt::join(logits.sizes(), ", "), inputs.size(0), definition_.classes);
  const float* values = logits.const_data_ptr<float>();
  for (int64_t i = 0; i < logits.numel(); ++i)
    if (!std::isfinite(values[i]))
      data_error("task '{}': the model's score of class {} is {}, which is not finite", name(),
                 i % definition_.classes, values[i]);
  return logits;
}

Examples ImageClassification::examples(Split split) const {
  const auto dataset = load_dataset(definition_.dataset);
  // Keys of stored scores contain the hash that was valid when this task was created.
  if (dataset->hash != dataset_hash_)
    data_error(
        "task '{}': dataset '{}' has changed since the task was read, because other package "
        "versions than the pinned ones were fetched; run the command again",
        name(), definition_.dataset);
  const auto label = dataset->labels.accessor<int64_t, 1>();
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < label.size(0); ++i)
    if (dataset->splits[static_cast<size_t>(i)] == split &&
        std::binary_search(definition_.labels.begin(), definition_.labels.end(), label[i]))
      chosen.push_back(i);
  if (chosen.empty())
    data_error("task '{}': the {} split of dataset '{}' has no items with the labels {}", name(),
               split_name(split), definition_.dataset, fmt::join(definition_.labels, ", "));
  const at::Tensor index = at::tensor(chosen, at::kLong);
  return {dataset->images.index_select(0, index), dataset->labels.index_select(0, index)};
}

std::shared_ptr<const Task> make_image_classification(const std::string& name,
                                                      const JsonReader& reader) {
  Definition definition = read_definition(reader);
  const std::string dataset_hash = read_manifest(definition.dataset, reader.where()).hash;
  return std::make_shared<ImageClassification>(name, reader.json(), std::move(definition),
                                               dataset_hash);
}

ASSAY_TASK_KIND("image_classification", make_image_classification)

}  // namespace
}  // namespace assay
