#include "harness/merge/request/reconcile.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "harness/checkpoint/heads.h"
#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/merge/request/prefix.h"
#include "harness/merge/request/roles.h"
#include "harness/merge/request/unmergeable.h"
#include "harness/merge/request/vocabulary.h"

namespace assay {
namespace {

constexpr std::array kPolicies{"error", "truncate_to_base", "common_submatrix", "mean_fill"};
constexpr std::array kExtra{"error", "copy", "drop"};

/// "12 tensors ('a', 'b', 'c' and 9 more)".
std::string names_text(const std::vector<std::string>& names) {
  constexpr size_t kMaxShown = 3;
  const size_t shown = std::min(names.size(), kMaxShown);
  std::string text =
      fmt::format("{} tensor{} ('{}'", names.size(), names.size() == 1 ? "" : "s",
                  fmt::join(names.begin(), names.begin() + static_cast<int64_t>(shown), "', '"));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text + ")";
}

template <typename Choice, size_t N>
Choice from_name(const std::array<const char*, N>& names, const std::string& kind,
                 const std::string& name, const std::string& where) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end())
    throw UserError(unknown_name(kind, name, where, {names.begin(), names.end()}));
  return static_cast<Choice>(it - names.begin());
}

class Reconciler {
 public:
  Reconciler(std::vector<MergeModel> models, const ReconcileOptions& options)
      : models_(std::move(models)), options_(options), adjustments_(models_.size()) {}

  Reconciled run() {
    out_.notes = refuse_unmergeable(models_);
    map_prefixes();
    reconcile_heads();
    reconcile_vocabulary(models_, options_.vocabulary, adjustments_, out_);
    if (!options_.partial) reconcile_missing();
    for (size_t i = 0; i < models_.size(); ++i)
      out_.sources.push_back(adjusted(models_[i].source, std::move(adjustments_[i])));
    return std::move(out_);
  }

 private:
  const TensorSource& first() const { return *models_.front().source; }

  static std::shared_ptr<const TensorSource> adjusted(std::shared_ptr<const TensorSource> source,
                                                      Adjustments adjustments) {
    if (adjustments.empty()) return source;
    return std::make_shared<AdjustedSource>(std::move(source), std::move(adjustments));
  }

  void map_prefixes() {
    for (size_t i = 1; i < models_.size(); ++i) {
      PrefixMap map = map_prefix(first(), *models_[i].source);
      if (map.prefix.empty()) continue;
      out_.notes.push_back(
          fmt::format("{}: its names differ from those of {} "
                      "in the prefix '{}', which is {} them",
                      models_[i].source->label(), first().label(), map.prefix,
                      map.added ? "put before" : "taken from"));
      Adjustments renamed;
      renamed.renamed = std::move(map.names);
      models_[i].source = adjusted(models_[i].source, std::move(renamed));
    }
  }

  void reconcile_heads() {
    std::set<std::string> names;
    for (const MergeModel& model : models_)
      for (const TensorInfo& info : model.source->tensors())
        if (is_head(info.name)) names.insert(info.name);
    std::vector<Embeddings> embeddings;
    for (const MergeModel& model : models_) embeddings.emplace_back(*model.source);
    const bool tied = ties_embeddings(models_.front().config).value_or(false);
    for (const std::string& name : names)
      for (size_t i = 0; i < models_.size(); ++i)
        if (tied)
          leave_out(name, embeddings[i].of(name), i);
        else if (i > 0 && first().find(name))
          supply(name, embeddings[i].of(name), i);
  }

  void leave_out(const std::string& name, const TensorInfo* embedding, size_t model) {
    const TensorSource& source = *models_[model].source;
    const TensorInfo* info = source.find(name);
    if (!info || !embedding || info->shape != embedding->shape) return;
    adjustments_[model].left_out.emplace(name, "tied");
    const bool own = model > 0 && !ties_embeddings(models_[model].config).value_or(true);
    out_.notes.push_back(
        fmt::format("{}: '{}' is left out: {} ties it to '{}'{}{}", source.label(), name,
                    own ? first().label() : "the model", embedding->name,
                    own ? ", though this model does not" : "",
                    seem_equal(source, *info, *embedding) ? "" : ", though their values differ"));
  }

  void supply(const std::string& name, const TensorInfo* embedding, size_t model) {
    const TensorSource& source = *models_[model].source;
    if (source.find(name) || !embedding || !ties_embeddings(models_[model].config).value_or(false))
      return;
    adjustments_[model].views[name] = {embedding->name, embedding->shape.front()};
    out_.notes.push_back(fmt::format("{}: '{}', which it does not store, is tied to '{}'",
                                     source.label(), name, embedding->name));
  }

  bool has(const std::string& name, size_t model) const {
    return (models_[model].source->find(name) && !adjustments_[model].left_out.contains(name)) ||
           adjustments_[model].views.contains(name);
  }

  /// Buffers, and other tensors that not all models have.
  void reconcile_missing() {
    struct Found {
      TensorInfo info;
      size_t owner;  ///< the first model that has it
      size_t models = 0;
      bool same = true;
    };
    std::map<std::string, Found> found;
    for (size_t i = 0; i < models_.size(); ++i)
      for (const TensorInfo& info : models_[i].source->tensors()) {
        if (!has(info.name, i)) continue;
        Found& tensor = found.try_emplace(info.name, Found{info, i}).first->second;
        ++tensor.models;
        tensor.same =
            tensor.same && info.dtype == tensor.info.dtype && info.shape == tensor.info.shape;
      }
    std::map<size_t, std::vector<std::string>> buffers, copied;
    std::vector<std::string> dropped, refused;
    for (const auto& [name, tensor] : found) {
      if (is_buffer(tensor.info)) {
        if (tensor.models == models_.size() && tensor.same) continue;
        borrow(name, tensor.owner);
        buffers[tensor.owner].push_back(name);
      } else if (tensor.models < models_.size() && !supplied(name)) {
        if (options_.extra == ExtraTensors::kDrop) {
          drop(name);
          dropped.push_back(name);
        } else if (options_.extra == ExtraTensors::kCopy) {
          borrow(name, tensor.owner);
          for (Adjustments& adjustments : adjustments_) adjustments.copied.insert(name);
          copied[tensor.owner].push_back(name);
        } else {
          refused.push_back(name);
        }
      }
    }
    for (const auto& [owner, names] : buffers)
      out_.notes.push_back(
          fmt::format("the models differ in buffers: those of {} are in the result: {}",
                      models_[owner].source->label(), names_text(names)));
    for (const auto& [owner, names] : copied)
      out_.notes.push_back(
          fmt::format("not all models have {}: copied from {} (extra_tensors copy)",
                      names_text(names), models_[owner].source->label()));
    if (!refused.empty())
      out_.problems.push_back(
          fmt::format("not all models have {}: set extra_tensors to copy or drop to merge them",
                      names_text(refused)));
    if (!dropped.empty())
      out_.notes.push_back(fmt::format("not all models have {}: left out (extra_tensors drop)",
                                       names_text(dropped)));
  }

  /// Whether every model has the tensor, stored or tied to another.
  bool supplied(const std::string& name) const {
    for (size_t i = 0; i < models_.size(); ++i)
      if (!has(name, i)) return false;
    return true;
  }

  /// All models take the tensor from its owner, where theirs is not the same.
  void borrow(const std::string& name, size_t owner) {
    const TensorInfo& wanted = *models_[owner].source->find(name);
    for (size_t i = 0; i < models_.size(); ++i) {
      const TensorInfo* own = has(name, i) ? models_[i].source->find(name) : nullptr;
      if (!own || own->dtype != wanted.dtype || own->shape != wanted.shape)
        adjustments_[i].borrowed[name] = models_[owner].source;
    }
  }

  void drop(const std::string& name) {
    for (size_t i = 0; i < models_.size(); ++i) {
      adjustments_[i].views.erase(name);
      if (models_[i].source->find(name))
        adjustments_[i].left_out.emplace(name, "not in all models");
    }
  }

  std::vector<MergeModel> models_;  // with the names of the first
  const ReconcileOptions& options_;
  std::vector<Adjustments> adjustments_;
  Reconciled out_;
};

}  // namespace

VocabPolicy vocab_policy_from_name(const std::string& name, const std::string& where) {
  return from_name<VocabPolicy>(kPolicies, "vocab_policy", name, where);
}

std::string vocab_policy_name(VocabPolicy policy) {
  return kPolicies.at(static_cast<size_t>(policy));
}

ExtraTensors extra_tensors_from_name(const std::string& name, const std::string& where) {
  return from_name<ExtraTensors>(kExtra, "extra_tensors", name, where);
}

std::string extra_tensors_name(ExtraTensors extra) { return kExtra.at(static_cast<size_t>(extra)); }

Reconciled reconcile(const std::vector<MergeModel>& models, const ReconcileOptions& options) {
  return Reconciler(models, options).run();
}

}  // namespace assay
