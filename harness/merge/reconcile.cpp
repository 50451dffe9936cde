#include "harness/merge/reconcile.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr std::array kPolicies{"error", "truncate_to_base", "common_submatrix", "mean_fill"};
// Stored copies of the embedding, and the names that the embedding itself has.
constexpr std::array kTied{"lm_head.weight", "encoder.embed_tokens.weight",
                           "decoder.embed_tokens.weight"};
constexpr std::array kEmbeddings{"shared.weight",
                                 "model.embed_tokens.weight",
                                 "transformer.wte.weight",
                                 "model.decoder.embed_tokens.weight",
                                 "gpt_neox.embed_in.weight",
                                 "embed_tokens.weight",
                                 "wte.weight"};

const TensorInfo* embedding_of(const TensorSource& source) {
  for (const char* name : kEmbeddings)
    if (const TensorInfo* found = source.find(name)) return found;
  return nullptr;
}

std::optional<bool> tied(const Json& config) {
  const auto it = config.is_object() ? config.find("tie_word_embeddings") : config.end();
  if (it == config.end() || !it->is_boolean()) return std::nullopt;
  return it->get<bool>();
}

std::optional<int64_t> vocab_size(const Json& config) {
  if (!config.is_object()) return std::nullopt;
  const auto it = config.find("vocab_size");
  if (it == config.end() || !it->is_number_integer()) return std::nullopt;
  return it->get<int64_t>();
}

class Reconciler {
 public:
  Reconciler(const std::vector<MergeModel>& models, VocabPolicy policy)
      : models_(models), policy_(policy), adjustments_(models.size()) {}

  Reconciled run() {
    for (const char* name : kTied) settle_tied(name);
    settle_vocabulary();
    for (size_t i = 0; i < models_.size(); ++i)
      out_.sources.push_back(
          adjustments_[i].empty()
              ? models_[i].source
              : std::make_shared<AdjustedSource>(models_[i].source, std::move(adjustments_[i])));
    return std::move(out_);
  }

 private:
  const TensorSource& first() const { return *models_.front().source; }

  void settle_tied(const std::string& name) {
    if (tied(models_.front().config).value_or(false)) {
      for (size_t i = 0; i < models_.size(); ++i) leave_out(name, i);
    } else if (first().find(name)) {
      for (size_t i = 1; i < models_.size(); ++i) supply(name, i);
    }
  }

  void leave_out(const std::string& name, size_t model) {
    const TensorSource& source = *models_[model].source;
    const TensorInfo* info = source.find(name);
    const TensorInfo* embedding = embedding_of(source);
    if (!info || !embedding || embedding->name == name || info->shape != embedding->shape) return;
    adjustments_[model].left_out.insert(name);
    const bool own = model > 0 && !tied(models_[model].config).value_or(true);
    out_.notes.push_back(fmt::format("{}: '{}' is left out: {} ties it to '{}'{}", source.label(),
                                     name, own ? first().label() : "the model", embedding->name,
                                     own ? ", though this model does not" : ""));
  }

  void supply(const std::string& name, size_t model) {
    const TensorSource& source = *models_[model].source;
    const TensorInfo* embedding = embedding_of(source);
    if (source.find(name) || !embedding || !tied(models_[model].config).value_or(false)) return;
    adjustments_[model].views[name] = {embedding->name, embedding->shape.front()};
    out_.notes.push_back(fmt::format("{}: '{}', which it does not store, is tied to '{}'",
                                     source.label(), name, embedding->name));
  }

  /// How many rows a model gives for a tensor; absent when it has no such vocabulary tensor, of the
  /// other dimensions of `like`.
  std::optional<int64_t> vocabulary_rows(const TensorInfo& like, size_t model) const {
    const auto view = adjustments_[model].views.find(like.name);
    const std::string& name = view == adjustments_[model].views.end() ? like.name : view->second.of;
    const TensorInfo* info = models_[model].source->find(name);
    if (!info || info->shape.empty() || info->shape.size() != like.shape.size() ||
        !std::equal(info->shape.begin() + 1, info->shape.end(), like.shape.begin() + 1) ||
        vocab_size(models_[model].config) != info->shape.front())
      return std::nullopt;
    return info->shape.front();
  }

  void settle_vocabulary() {
    std::vector<std::string> tensors;
    std::vector<int64_t> rows;
    for (const TensorInfo& info : first().tensors()) {
      if (adjustments_.front().left_out.contains(info.name)) continue;
      std::vector<int64_t> found;
      for (size_t i = 0; i < models_.size(); ++i)
        if (const auto count = vocabulary_rows(info, i)) found.push_back(*count);
      if (found.size() != models_.size() ||
          std::adjacent_find(found.begin(), found.end(), std::not_equal_to<>()) == found.end())
        continue;
      tensors.push_back(info.name);
      rows = found;  // the same for all: it is the model's vocab_size
    }
    if (tensors.empty()) return;
    const auto target = target_rows(tensors, rows);
    if (!target) return;
    out_.vocab_size = *target;
    for (size_t i = 0; i < models_.size(); ++i) {
      if (rows[i] == *target) continue;
      for (const std::string& name : tensors) {
        Adjustments::View& view = adjustments_[i].views[name];
        if (view.of.empty()) view.of = name;
        view.rows = *target;
      }
      const std::string names = fmt::format("{}", fmt::join(tensors, ", "));
      const std::string label = models_[i].source->label();
      out_.notes.push_back(rows[i] > *target
                               ? fmt::format("{}: the first {} of {} rows are used of {}", label,
                                             *target, rows[i], names)
                               : fmt::format("{}: the mean of its {} rows fills {} up to {}", label,
                                             rows[i], names, *target));
    }
  }

  /// Absent, with a problem told, when the policy has no answer.
  std::optional<int64_t> target_rows(const std::vector<std::string>& tensors,
                                     const std::vector<int64_t>& rows) {
    std::vector<std::string> sizes;
    for (size_t i = 0; i < rows.size(); ++i)
      sizes.push_back(fmt::format("{} has {}", models_[i].source->label(), rows[i]));
    const auto problem = [&](const std::string& what) {
      out_.problems.push_back(fmt::format("vocabularies differ ({}; in {}): {}",
                                          fmt::join(sizes, ", "), fmt::join(tensors, ", "), what));
      return std::nullopt;
    };
    switch (policy_) {
      case VocabPolicy::kError:
        return problem(
            "set vocab_policy to truncate_to_base, common_submatrix or mean_fill to merge them");
      case VocabPolicy::kTruncateToBase:
        for (size_t i = 1; i < rows.size(); ++i)
          if (rows[i] < rows.front())
            return problem(
                fmt::format("vocab_policy truncate_to_base needs at least the {} rows "
                            "of {} in every model",
                            rows.front(), first().label()));
        return rows.front();
      case VocabPolicy::kCommonSubmatrix:
        return *std::min_element(rows.begin(), rows.end());
      case VocabPolicy::kMeanFill:
        if (*std::min_element(rows.begin(), rows.end()) == 0)
          return problem("a vocabulary without rows has no mean");
        return *std::max_element(rows.begin(), rows.end());
    }
    return std::nullopt;
  }

  const std::vector<MergeModel>& models_;
  VocabPolicy policy_;
  std::vector<Adjustments> adjustments_;
  Reconciled out_;
};

}  // namespace

VocabPolicy vocab_policy_from_name(const std::string& name, const std::string& where) {
  const auto it = std::find(kPolicies.begin(), kPolicies.end(), name);
  if (it == kPolicies.end())
    throw UserError(
        unknown_name("vocab_policy", name, where, {kPolicies.begin(), kPolicies.end()}));
  return static_cast<VocabPolicy>(it - kPolicies.begin());
}

std::string vocab_policy_name(VocabPolicy policy) {
  return kPolicies.at(static_cast<size_t>(policy));
}

Reconciled reconcile(const std::vector<MergeModel>& models, VocabPolicy policy) {
  return Reconciler(models, policy).run();
}

}  // namespace assay
