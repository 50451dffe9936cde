#include "harness/train/internal/settings.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/train/outside_model.h"

namespace assay {
namespace {

const std::vector<std::string> kSchedules = {"constant", "cosine", "linear"};
const std::vector<std::string> kLosses = {"joint", "own_labels", "answers", "spans", "masked"};
const std::vector<std::string> kPrecisions = {"float32", "bf16"};
constexpr int64_t kMaxThreads = 1024;

int64_t integer_from(const JsonReader& value, int64_t low) {
  const int64_t number = value.as_integer();
  if (number < low) value.fail(fmt::format("expected an integer of at least {}", low));
  return number;
}

int64_t positive_integer(const JsonReader& value) { return integer_from(value, 1); }

double number_from(const JsonReader& value, double low) {
  const double number = value.as_number();
  if (number < low) value.fail(fmt::format("expected a number of at least {}", low));
  return number;
}

double positive_number(const JsonReader& value) {
  const double number = value.as_number();
  if (number <= 0) value.fail("expected a number above 0");
  return number;
}

double fraction_below_one(const JsonReader& value) {
  const double number = value.as_number();
  if (number < 0 || number >= 1) value.fail("expected a number in [0, 1)");
  return number;
}

std::vector<MixturePart> read_mixture(const JsonReader& list,
                                      const std::vector<std::string>& known_tasks,
                                      const fs::path& folder) {
  std::vector<MixturePart> mixture;
  std::set<std::string> seen;
  for (JsonReader element : list.elements()) {
    MixturePart part;
    if (element.is_string()) {
      part.task = element.as_string();
    } else {
      part.task = element.string("task");
      if (const auto examples = element.find("examples"))
        part.examples = positive_integer(*examples);
      part.changes = read_task_changes(element);
      if (!part.changes.chat.empty())
        part.changes.chat = find_outside_model(part.changes.chat, folder).path.string();
      element.finish();
    }
    if (std::find(known_tasks.begin(), known_tasks.end(), part.task) == known_tasks.end())
      throw UserError(unknown_name("task", part.task, element.where(), known_tasks));
    if (!seen.insert(part.task).second) element.fail("the task occurs twice in the mixture");
    mixture.push_back(std::move(part));
  }
  if (mixture.empty()) list.fail("expected at least one task");
  return mixture;
}

AdapterRecipe read_adapter(JsonReader json) {
  AdapterRecipe adapter;
  adapter.rank = positive_integer(json.at("rank"));
  adapter.alpha = positive_number(json.at("alpha"));
  const JsonReader targets = json.at("targets");
  adapter.targets = targets.as_strings();
  if (adapter.targets.empty()) targets.fail("expected the names of at least one layer");
  json.finish();
  return adapter;
}

Augmentation read_augmentation(JsonReader json) {
  Augmentation augmentation;
  if (const auto v = json.find("crop")) augmentation.crop = integer_from(*v, 0);
  if (const auto v = json.find("flip")) augmentation.flip = v->as_bool();
  if (augmentation == Augmentation())
    json.fail("changes no image: expected 'crop', a number of pixels, 'flip', or both");
  json.finish();
  return augmentation;
}

EarlyStopping read_early_stopping(JsonReader json) {
  constexpr int64_t kExamples = 64;
  EarlyStopping stopping;
  stopping.every = positive_integer(json.at("every"));
  stopping.patience = positive_integer(json.at("patience"));
  const auto examples = json.find("examples");
  stopping.examples = examples ? positive_integer(*examples) : kExamples;
  json.finish();
  return stopping;
}

void read_optimizer(JsonReader& settings, CheckpointRecipe& recipe) {
  if (const auto v = settings.find("learning_rate")) recipe.learning_rate = positive_number(*v);
  if (const auto v = settings.find("weight_decay")) recipe.weight_decay = number_from(*v, 0);
  if (const auto v = settings.find("betas")) {
    const auto betas = v->elements();
    if (betas.size() != 2) v->fail("expected the two betas of AdamW, as [0.9, 0.999]");
    recipe.beta1 = fraction_below_one(betas[0]);
    recipe.beta2 = fraction_below_one(betas[1]);
  }
  if (const auto v = settings.find("epsilon")) recipe.epsilon = positive_number(*v);
  if (const auto v = settings.find("schedule"))
    recipe.schedule = one_of("schedule", kSchedules, *v);
  if (const auto v = settings.find("warmup")) recipe.warmup = integer_from(*v, 0);
  if (const auto v = settings.find("clip_norm")) recipe.clip_norm = positive_number(*v);
}

}  // namespace

std::string one_of(const std::string& kind, const std::vector<std::string>& known,
                   const JsonReader& value) {
  std::string name = value.as_string();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw UserError(unknown_name(kind, name, value.where(), known));
  return name;
}

void read_settings(JsonReader& settings, const std::vector<std::string>& known_tasks,
                   const fs::path& folder, CheckpointRecipe& recipe) {
  if (const auto v = settings.find("init")) recipe.init = v->as_string();
  if (const auto v = settings.find("mixture"))
    recipe.mixture = read_mixture(*v, known_tasks, folder);
  if (const auto v = settings.find("steps")) recipe.steps = positive_integer(*v);
  if (const auto v = settings.find("batch")) recipe.batch = positive_integer(*v);
  if (const auto v = settings.find("accumulate")) recipe.accumulate = positive_integer(*v);
  read_optimizer(settings, recipe);
  if (const auto v = settings.find("loss")) recipe.loss = one_of("loss", kLosses, *v);
  if (const auto v = settings.find("precision"))
    recipe.precision = one_of("precision", kPrecisions, *v);
  if (const auto v = settings.find("gradient_checkpointing"))
    recipe.gradient_checkpointing = v->as_bool();
  if (const auto v = settings.find("max_tokens")) recipe.max_tokens = positive_integer(*v);
  if (const auto v = settings.find("freeze")) recipe.freeze = v->as_strings();
  if (const auto v = settings.find("adapter")) recipe.adapter = read_adapter(*v);
  if (const auto v = settings.find("augment")) recipe.augment = read_augmentation(*v);
  if (const auto v = settings.find("early_stopping"))
    recipe.early_stopping = read_early_stopping(*v);
  if (const auto v = settings.find("threads")) {
    recipe.threads = positive_integer(*v);
    if (recipe.threads > kMaxThreads) v->fail(fmt::format("expected at most {}", kMaxThreads));
  }
  if (const auto v = settings.find("save_every")) recipe.save_every = positive_integer(*v);
  if (const auto v = settings.find("seed"))
    recipe.seed = static_cast<uint64_t>(integer_from(*v, 0));
}

Json changed_settings(const CheckpointRecipe& recipe) {
  const CheckpointRecipe usual;
  Json changed = Json::object();
  const auto add = [&](const char* key, const auto& value, const auto& usual_value) {
    if (value != usual_value) changed[key] = value;
  };
  add("beta1", recipe.beta1, usual.beta1);
  add("beta2", recipe.beta2, usual.beta2);
  add("epsilon", recipe.epsilon, usual.epsilon);
  add("warmup", recipe.warmup, usual.warmup);
  add("accumulate", recipe.accumulate, usual.accumulate);
  add("loss", recipe.loss, usual.loss);
  add("precision", recipe.precision, usual.precision);
  add("gradient_checkpointing", recipe.gradient_checkpointing, usual.gradient_checkpointing);
  add("max_tokens", recipe.max_tokens, usual.max_tokens);
  add("freeze", recipe.freeze, usual.freeze);
  add("threads", recipe.threads, usual.threads);
  if (recipe.clip_norm) changed["clip_norm"] = *recipe.clip_norm;
  if (const auto& adapter = recipe.adapter)
    changed["adapter"] = {
        {"rank", adapter->rank}, {"alpha", adapter->alpha}, {"targets", adapter->targets}};
  if (const auto& augment = recipe.augment)
    changed["augment"] = {{"crop", augment->crop}, {"flip", augment->flip}};
  if (const auto& stopping = recipe.early_stopping)
    changed["early_stopping"] = {{"every", stopping->every},
                                 {"patience", stopping->patience},
                                 {"examples", stopping->examples}};
  return changed;
}

}  // namespace assay
