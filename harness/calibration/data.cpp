#include "harness/calibration/data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "harness/calibration/internal/examples.h"
#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/lm/micro_batches.h"

namespace assay {
namespace {

int64_t read_count(JsonReader& json, const std::string& key, int64_t fallback) {
  const auto value = json.find(key);
  if (!value) return fallback;
  if (value->as_integer() < 1) value->fail("expected at least 1");
  return value->as_integer();
}

// The tasks take turns; one that has no more examples is passed over.
std::vector<DrawnExample> draw(const std::vector<std::shared_ptr<const Task>>& tasks,
                               const CalibrationSpec& spec) {
  std::vector<std::vector<int64_t>> orders;
  for (const auto& task : tasks) {
    task->check_split(spec.split);
    const std::string purpose =
        fmt::format("calibration on {} of {}", split_name(spec.split), task->name());
    orders.push_back(Rng(spec.seed, purpose).permutation(task->size(spec.split)));
  }
  std::vector<DrawnExample> drawn;
  bool any = true;
  for (size_t turn = 0; any; ++turn) {
    any = false;
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (turn >= orders[i].size()) continue;
      if (static_cast<int64_t>(drawn.size()) == spec.examples) return drawn;
      drawn.push_back({i, orders[i][turn]});
      any = true;
    }
  }
  return drawn;
}

std::vector<int64_t> places_from(int64_t first, int64_t count) {
  std::vector<int64_t> places(static_cast<size_t>(count));
  std::iota(places.begin(), places.end(), first);
  return places;
}

std::string names_of(const std::vector<std::shared_ptr<const Task>>& tasks) {
  std::string text;
  for (const auto& task : tasks) text += (text.empty() ? "" : ", ") + task->name();
  return text;
}

}  // namespace

Json calibration_json(const CalibrationSpec& spec) {
  return {{"split", split_name(spec.split)},
          {"examples", spec.examples},
          {"seed", spec.seed},
          {"max_tokens", spec.max_tokens}};
}

CalibrationSpec read_calibration(JsonReader json, const CalibrationSpec& defaults) {
  CalibrationSpec spec = defaults;
  if (const auto split = json.find("split"))
    spec.split = split_from_name(split->as_string(), split->where());
  spec.examples = read_count(json, "examples", spec.examples);
  if (const auto seed = json.find("seed")) {
    if (seed->as_integer() < 0) seed->fail("a seed must not be negative");
    spec.seed = static_cast<uint64_t>(seed->as_integer());
  }
  spec.max_tokens = read_count(json, "max_tokens", spec.max_tokens);
  json.finish();
  return spec;
}

CalibrationData::CalibrationData(const Computation& model,
                                 const std::vector<std::shared_ptr<const Task>>& tasks,
                                 const CalibrationSpec& spec,
                                 const std::shared_ptr<TokenCache>& tokens) {
  if (tasks.empty()) user_error("calibration needs at least one task");
  for (const auto& task : tasks)
    if (task->is_about_text() != (model.tokenizer != nullptr))
      user_error("the task '{}' is {}about texts, but the model {}", task->name(),
                 task->is_about_text() ? "" : "not ",
                 model.tokenizer ? "reads texts only" : "reads none");
  const std::vector<DrawnExample> drawn = draw(tasks, spec);
  if (drawn.empty())
    data_error("the {} split of {} has no examples", split_name(spec.split), names_of(tasks));
  if (static_cast<int64_t>(drawn.size()) < spec.examples)
    notes_.push_back(fmt::format("{} examples are asked for, the {} split of {} has {}",
                                 spec.examples, split_name(spec.split), names_of(tasks),
                                 drawn.size()));
  examples_ = model.tokenizer ? text_examples(model, tasks, spec, drawn, tokens, notes_)
                              : plain_examples(tasks, spec, drawn);
}

CalibrationData::CalibrationData(const Computation& model,
                                 const std::vector<std::string>& prompts) {
  if (prompts.empty()) user_error("an expert has no prompts");
  examples_ = prompt_examples(model, prompts);
}

CalibrationData::~CalibrationData() = default;
CalibrationData::CalibrationData(CalibrationData&&) noexcept = default;
CalibrationData& CalibrationData::operator=(CalibrationData&&) noexcept = default;

int64_t CalibrationData::size() const { return examples_->size(); }

ModelBatch CalibrationData::batch(int64_t first, int64_t count) const {
  ASSAY_CHECK(first >= 0 && count > 0 && first + count <= size(), "examples {} + {} of {}", first,
              count, size());
  return examples_->batch(places_from(first, count));
}

ModelBatch CalibrationData::batch(std::span<const int64_t> places) const {
  return examples_->batch(places);
}

std::vector<std::vector<int64_t>> CalibrationData::by_length(int64_t first, int64_t count) const {
  const std::vector<int64_t> places = places_from(first, count);
  std::vector<ExampleLength> lengths;
  for (const int64_t place : places) lengths.push_back(examples_->length(place));
  return micro_batches(places, lengths, places.size());
}

at::Tensor CalibrationData::targets(int64_t first, int64_t count) const {
  return examples_->targets(places_from(first, count));
}

int64_t CalibrationData::fitting(int64_t first, int64_t tokens) const {
  int64_t count = 0, longest = 0;
  for (int64_t i = first; i < size(); ++i) {
    longest = std::max(longest, examples_->tokens(i));
    if (count > 0 && longest * (count + 1) > tokens) break;
    ++count;
  }
  return count;
}

int64_t CalibrationData::bytes() const { return examples_->bytes(); }

ModelBatch moved(const ModelBatch& batch, at::Device device) {
  const auto move = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device) : tensor;
  };
  return {move(batch.inputs),      move(batch.mask),         move(batch.types),
          move(batch.decoder_ids), move(batch.decoder_mask), move(batch.scored)};
}

}  // namespace assay
