#include "harness/merge/model_checks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/checkpoint/heads.h"
#include "harness/checkpoint/model_config.h"
#include "harness/checkpoint/model_texts.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/json.h"
#include "harness/merge/request/reconcile.h"
#include "harness/merge/request/roles.h"
#include "harness/merge/request/tokens.h"
#include "harness/merge/request/unmergeable.h"
#include "harness/merge/tokenizer_files.h"

namespace assay {
namespace {

/// The seed of the random weights that a recipe's checkpoint starts from, directly or by way of
/// other checkpoints next to it; absent where assay.json does not say.
std::optional<int64_t> initial_seed(const Checkpoint& model) {
  constexpr int kLongestChain = 100;  // as in recipes
  Json origin = model.origin();
  for (int length = 0; length < kLongestChain && origin.is_object(); ++length) {
    if (!origin.contains("recipe_hash") || !origin.value("init", Json()).is_string()) break;
    const std::string init = origin["init"].get<std::string>();
    const Json seed = origin.value("seed", Json());
    if (init == "random")
      return seed.is_number_integer() ? std::optional(seed.get<int64_t>()) : std::nullopt;
    const fs::path next = model.path().parent_path() / init / "assay.json";
    if (!fs::is_regular_file(next)) break;
    origin = read_json(next);
  }
  return std::nullopt;
}

/// Elements of a copied tensor that differ.
int64_t count_differences(const TensorSource& one, const TensorSource& other,
                          const TensorInfo& info) {
  int64_t count = 0;
  for (int64_t first = 0; first < info.numel(); first += kPartElements) {
    const int64_t part = std::min(kPartElements, info.numel() - first);
    const at::Tensor a = one.read_part(info.name, first, part);
    const at::Tensor b = other.read_part(info.name, first, part).to(a.device());
    if (!at::equal(a, b)) count += a.ne(b).sum().item<int64_t>();
    for (const TensorSource* source : {&one, &other}) source->release(info.name, first, part);
  }
  return count;
}

const TensorSource& holder(const TensorSource& source, const std::string& name) {
  const auto* adjusted = dynamic_cast<const AdjustedSource*>(&source);
  return adjusted ? adjusted->holder(name) : source;
}

std::optional<std::string> copied_note(const TensorSource& reference, const TensorSource& model) {
  constexpr size_t kMaxShown = 8;
  std::string names;
  size_t differing = 0;
  for (const TensorInfo& info : reference.tensors()) {
    if (tensor_role(reference, info) != TensorRole::kCopied) continue;
    if (&holder(reference, info.name) == &holder(model, info.name)) continue;
    const int64_t count = count_differences(reference, model, info);
    if (count == 0 || ++differing > kMaxShown) continue;
    names += fmt::format("{}'{}' ({} of {} values)", names.empty() ? "" : ", ", info.name, count,
                         info.numel());
  }
  if (differing == 0) return std::nullopt;
  if (differing > kMaxShown) names += fmt::format(" and {} more", differing - kMaxShown);
  return fmt::format(
      "integers and buffers are not merged, the result has those of {}; in {} others: {}",
      reference.label(), model.label(), names);
}

/// Sums over a few values of every matrix, from which the cosine of two models follows.
struct Products {
  double own = 0, other = 0, both = 0;
  int64_t values = 0;
};

Products sampled_products(const TensorSource& one, const TensorSource& other) {
  constexpr int64_t kPerTensor = 4096;
  constexpr size_t kMostTensors = 64;
  std::vector<const TensorInfo*> matrices;
  for (const TensorInfo& info : one.tensors())
    if (info.shape.size() >= 2 && tensor_role(one, info) == TensorRole::kMerged)
      matrices.push_back(&info);
  const size_t step = matrices.size() / kMostTensors + 1;
  Products sums;
  for (size_t i = 0; i < matrices.size(); i += step) {
    const TensorInfo& info = *matrices[i];
    const int64_t count = std::min(kPerTensor, info.numel());
    const auto values = [&](const TensorSource& source) {
      const at::Tensor read = source.read_part(info.name, (info.numel() - count) / 2, count);
      at::Tensor copied = read.to(at::kCPU, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
      source.release(info.name, 0, info.numel());  // a page fault may map 2 MiB of a file
      return copied;
    };
    // Centred: a mean that all weights of a kind have in common says nothing.
    const at::Tensor a = values(one), b = values(other);
    const at::Tensor x = a - a.mean(), y = b - b.mean();
    sums.own += x.dot(x).item<double>();
    sums.other += y.dot(y).item<double>();
    sums.both += x.dot(y).item<double>();
    sums.values += count;
  }
  return sums;
}

std::optional<std::string> initialisation_note(const TensorSource& one, const TensorSource& other) {
  constexpr int64_t kMinValues = 4096;
  constexpr double kUnrelated = 0.1;  // fine-tunes of one model are above 0.9
  const Products sums = sampled_products(one, other);
  const double scale = std::sqrt(sums.own * sums.other);
  if (sums.values < kMinValues || !(scale > 0) || sums.both / scale > kUnrelated) return {};
  return fmt::format(
      "{} and {} seem not to come from one initialisation: the cosine of their weights is {:.2f}; "
      "merges of such models are rarely useful",
      one.label(), other.label(), sums.both / scale);
}

}  // namespace

std::optional<std::string> unmet_tokenizer_need(
    const Needs& needs, const std::vector<std::shared_ptr<const Checkpoint>>& models) {
  if (!needs.tokenizer) return std::nullopt;
  const Checkpoint* first = nullptr;
  std::map<std::string, std::string> expected;
  for (const auto& model : models) {
    if (!model) continue;
    const auto hashes = tokenizer_hashes(*model);
    if (hashes.empty())
      return fmt::format("needs models of one tokenizer, and {} holds none", model->label());
    if (!first) {
      first = model.get();
      expected = hashes;
    } else if (hashes != expected) {
      return fmt::format("needs models of one tokenizer, and those of {} and {} differ",
                         first->label(), model->label());
    }
  }
  return std::nullopt;
}

std::optional<std::string> unmet_initialization_need(
    const Needs& needs, const std::vector<std::shared_ptr<const Checkpoint>>& models) {
  if (!needs.same_initialization) return std::nullopt;
  const Checkpoint* first = nullptr;
  std::optional<int64_t> expected;
  for (const auto& model : models) {
    const auto seed = model ? initial_seed(*model) : std::nullopt;
    if (!seed) continue;
    if (expected && seed != expected)
      return fmt::format(
          "needs experts fine-tuned from one initialisation, and by their assay.json {} starts "
          "from the random weights of seed {} and {} from those of seed {}",
          first->label(), *expected, model->label(), *seed);
    if (expected) continue;
    expected = seed;
    first = model.get();
  }
  return std::nullopt;
}

bool has_settled_tensors(const Checkpoint& model) {
  const bool tied = ties_embeddings(model.config()).value_or(false);
  const Embeddings embeddings(model);
  const auto& infos = model.tensors();
  return std::any_of(infos.begin(), infos.end(), [&](const TensorInfo& info) {
    if (!c10::isFloatingType(info.dtype)) return false;
    if (is_buffer(info)) return true;
    if (!tied || !is_head(info.name)) return false;
    const TensorInfo* embedding = embeddings.of(info.name);
    return embedding && embedding->shape == info.shape;
  });
}

std::optional<std::string> tying_conflict(
    const Checkpoint& base, const std::vector<std::shared_ptr<const Checkpoint>>& experts) {
  const Checkpoint& first = *experts.front();
  const bool tied = ties_embeddings(base.config()).value_or(false);
  if (tied == ties_embeddings(first.config()).value_or(false)) return std::nullopt;
  const auto head = [](const Checkpoint& model) {
    const auto& infos = model.tensors();
    return std::any_of(infos.begin(), infos.end(),
                       [](const TensorInfo& info) { return is_head(info.name); });
  };
  if (!head(base) && std::none_of(experts.begin(), experts.end(),
                                  [&](const auto& expert) { return head(*expert); }))
    return std::nullopt;
  const Checkpoint& ties = tied ? base : first;
  const Checkpoint& keeps = tied ? first : base;
  return fmt::format(
      "the config of {} ties the head to the embedding and that of {} does not: a merge has the "
      "tensors of its base and computes as its first expert's config says, so both must agree",
      ties.label(), keeps.label());
}

std::vector<std::string> value_notes(const MergeInputs& inputs, bool same_initialization) {
  std::vector<std::string> notes;
  const TensorSource& reference = reference_source(inputs);
  for (const auto& expert : inputs.experts) {
    if (expert.get() == &reference) continue;
    if (auto note = copied_note(reference, *expert)) notes.push_back(std::move(*note));
    if (!same_initialization) continue;
    if (auto note = initialisation_note(reference, *expert)) notes.push_back(std::move(*note));
  }
  return notes;
}

MergeInputs reconciled_inputs(const std::shared_ptr<const Checkpoint>& base,
                              const std::vector<std::shared_ptr<const Checkpoint>>& experts,
                              std::vector<std::string>* notes) {
  std::vector<MergeModel> models;
  if (base) models.push_back({base, base->config()});
  for (const auto& expert : experts) models.push_back({expert, expert->config()});
  if (models.empty()) return {};
  Reconciled reconciled = reconcile(models);
  if (notes) *notes = std::move(reconciled.notes);
  MergeInputs inputs;
  if (!experts.empty()) inputs.config = experts.front()->config();
  if (base) inputs.base = reconciled.sources.front();
  inputs.experts.assign(reconciled.sources.begin() + (base ? 1 : 0), reconciled.sources.end());
  return inputs;
}

MergeInputs unequal_inputs(const std::shared_ptr<const Checkpoint>& base,
                           const std::vector<std::shared_ptr<const Checkpoint>>& experts) {
  std::vector<MergeModel> models;
  MergeInputs inputs;
  for (const auto& expert : experts) {
    models.push_back({expert, expert->config()});
    inputs.experts.push_back(expert);
    inputs.expert_configs.push_back(expert->config());
  }
  if (base) models.push_back({base, base->config()});
  refuse_unmergeable(models);
  inputs.base = base;
  inputs.config = base ? base->config() : inputs.expert_configs.front();
  const Checkpoint& reference = base ? *base : *experts.front();
  for (size_t i = 0; i < experts.size(); ++i)
    if (experts[i].get() != &reference)
      inputs.experts[i] = with_tokens_of(reference, experts[i], inputs.expert_configs[i]);
  return inputs;
}

bool are_unequal(const std::vector<std::string>& mismatches,
                 const std::shared_ptr<const Checkpoint>& base,
                 const std::vector<std::shared_ptr<const Checkpoint>>& experts) {
  const Checkpoint& reference = base ? *base : *experts.front();
  return !mismatches.empty() ||
         std::any_of(experts.begin(), experts.end(), [&](const auto& expert) {
           return have_different_tokenizers(reference, *expert);
         });
}

std::string unmet_shapes_need(const std::string& mismatch) {
  return fmt::format("needs models that have the same tensors: {}", mismatch);
}

bool needs_same_initialization(const std::vector<MethodGroup>& groups) {
  return std::any_of(groups.begin(), groups.end(), [](const MethodGroup& group) {
    return group.method->needs().same_initialization;
  });
}

}  // namespace assay
