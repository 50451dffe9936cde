#include "harness/lm/internal/scorer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "harness/core/log.h"
#include "harness/model/observer.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

using Trees = std::vector<TokenTree>;

/// Consecutive trees of a group as the rows of one forward pass.
struct Batch {
  const TokenTree* trees;
  int64_t rows;
  int64_t prefix;  // tokens in the prefix cache

  // The first tree is the longest.
  int64_t width() const { return static_cast<int64_t>(trees->size()); }
  const TokenTree& tree(int64_t row) const { return trees[row]; }
};

at::Tensor ids_of(const Batch& batch) {
  at::Tensor ids = at::zeros({batch.rows, batch.width()}, at::kLong);
  for (int64_t row = 0; row < batch.rows; ++row)
    std::copy(batch.tree(row).ids.begin(), batch.tree(row).ids.end(),
              ids.data_ptr<int64_t>() + row * batch.width());
  return ids;
}

// bool [rows, width], false at padding; undefined without padding, or when nobody counts tokens.
at::Tensor counted_tokens(const Batch& batch) {
  if (!RouterObserver::active()) return {};
  if (batch.tree(batch.rows - 1).size() == batch.trees->size()) return {};  // longest first
  at::Tensor counted = at::zeros({batch.rows, batch.width()}, at::kBool);
  for (int64_t row = 0; row < batch.rows; ++row)
    counted[row].narrow(0, 0, static_cast<int64_t>(batch.tree(row).size())).fill_(true);
  return counted;
}

// Padding gets the position after the prefix: any valid position will do.
at::Tensor positions_of(const Batch& batch) {
  at::Tensor positions = at::full({batch.rows, batch.width()}, batch.prefix, at::kLong);
  for (int64_t row = 0; row < batch.rows; ++row)
    std::copy(batch.tree(row).positions.begin(), batch.tree(row).positions.end(),
              positions.data_ptr<int64_t>() + row * batch.width());
  return positions;
}

// Tree attention mask: a token attends to what its parent attends to and to itself; padding only to
// itself.
at::Tensor mask_of(const Batch& batch) {
  const int64_t columns = batch.prefix + batch.width();
  at::Tensor mask = at::zeros({batch.rows, batch.width(), columns}, at::kBool);
  bool* row_mask = mask.data_ptr<bool>();
  for (int64_t row = 0; row < batch.rows; ++row) {
    const bool* first_row_mask = row_mask;
    const std::vector<int32_t>& parents = batch.tree(row).parents;
    for (int64_t node = 0; node < batch.width(); ++node, row_mask += columns) {
      if (node < static_cast<int64_t>(parents.size())) {
        const int32_t parent = parents[static_cast<size_t>(node)];
        if (parent >= 0)
          std::memcpy(row_mask, first_row_mask + parent * columns, static_cast<size_t>(columns));
        else
          std::fill_n(row_mask, batch.prefix, true);
      }
      row_mask[batch.prefix + node] = true;
    }
  }
  return mask;
}

TokenBatch tokens_of(const Batch& batch, at::Device device) {
  TokenBatch tokens{ids_of(batch).to(device)};
  const bool chains = std::all_of(batch.trees, batch.trees + batch.rows,
                                  [](const TokenTree& tree) { return tree.is_chain(); });
  if (chains) return tokens;  // the causal mask, which is the default
  tokens.positions = positions_of(batch).to(device);
  tokens.mask = mask_of(batch).to(device);
  return tokens;
}

class Scorer {
 public:
  Scorer(const LanguageModel& model, const BatchLimits& limits, std::vector<SequenceScore>& scores)
      : model_(model), limits_(limits), scores_(scores) {}

  // Scores as many trees from `begin` on as one forward pass holds. Returns their number.
  size_t run(const TreeGroup& group, const KvCache* prefix, size_t begin) {
    while (true) {
      const Batch batch{group.trees.data() + begin, rows(group, begin),
                        static_cast<int64_t>(group.prefix.size())};
      try {
        forward(batch, prefix);
        return static_cast<size_t>(batch.rows);
      } catch (const c10::OutOfMemoryError&) {
        if (batch.rows == 1) throw;
      }
      limits_.tokens = std::max<int64_t>(1, batch.rows / 2) * batch.width();
      log_info("out of device memory: continuing with batches of {} tokens", limits_.tokens);
    }
  }

 private:
  int64_t rows(const TreeGroup& group, size_t begin) const {
    const auto width = static_cast<int64_t>(group.trees[begin].size());
    int64_t max_rows = limits_.tokens / width;
    if (!group.prefix.empty())
      max_rows =
          std::min(max_rows, limits_.cached_tokens / static_cast<int64_t>(group.prefix.size()));
    return std::clamp<int64_t>(max_rows, 1, static_cast<int64_t>(group.trees.size() - begin));
  }

  void forward(const Batch& batch, const KvCache* prefix) {
    const TokenBatch tokens = tokens_of(batch, model_.device);
    KvCache cache;
    if (prefix)
      cache = prefix->select(
          at::zeros({batch.rows}, at::TensorOptions().dtype(at::kLong).device(model_.device)));
    at::Tensor hidden;
    {
      const CountedTokens counted(counted_tokens(batch));
      hidden = model_.architecture->hidden(model_.weights, tokens, prefix ? &cache : nullptr);
    }
    std::vector<TargetToken> targets;
    for (int64_t row = 0; row < batch.rows; ++row)
      for (const TokenTree::Target& target : batch.tree(row).targets)
        targets.push_back({row * batch.width() + target.node, target.token, target.sequence});
    const auto head = [&](const at::Tensor& states) {
      return model_.architecture->vocabulary_logits(model_.weights, states);
    };
    // Added only after success: a pass that runs out of memory is repeated.
    add_scores(score_tokens(head, hidden.reshape({-1, hidden.size(-1)}), std::move(targets),
                            limits_.head_positions(model_.architecture->vocabulary())),
               scores_);
  }

  const LanguageModel& model_;
  BatchLimits limits_;
  std::vector<SequenceScore>& scores_;
};

// Rotary angles may depend on the length of the whole text. Then only sequences of equal angles are
// packed together. They share no prefix cache, which would be computed at another length.
std::vector<TreeGroup> groups_of(const LanguageModel& model,
                                 const std::vector<ScoredSequence>& sequences,
                                 const PackingLimits& limits) {
  std::map<int64_t, std::vector<size_t>> by_length;  // indices by number of input tokens
  for (size_t i = 0; i < sequences.size(); ++i)
    by_length[static_cast<int64_t>(sequences[i].tokens.size()) - 1].push_back(i);
  std::vector<TreeGroup> groups;
  for (auto it = by_length.begin(); it != by_length.end();) {
    std::vector<size_t> same_regime;
    int64_t longest = it->first;
    for (; it != by_length.end() && model.architecture->can_extend(longest, it->first); ++it) {
      same_regime.insert(same_regime.end(), it->second.begin(), it->second.end());
      longest = it->first;
    }
    PackingLimits group_limits = limits;
    if (!model.architecture->can_extend(1, longest)) group_limits.prefix_tokens = SIZE_MAX;
    for (TreeGroup& group : pack_sequences(sequences, std::move(same_regime), group_limits))
      groups.push_back(std::move(group));
  }
  return groups;
}

int64_t tokens_in(const TreeGroup& group) {
  auto total = static_cast<int64_t>(group.prefix.size());
  for (const TokenTree& tree : group.trees) total += static_cast<int64_t>(tree.size());
  return total;
}

}  // namespace

BatchLimits BatchLimits::of(at::Device device) {
  // On the CPU larger batches need more memory without being faster. On an accelerator batches are
  // halved when memory runs out.
  if (device.is_cpu()) return {.tokens = 1024, .cached_tokens = 4096};
  return {.tokens = 16384, .cached_tokens = 65536, .logit_bytes = int64_t{512} << 20};
}

int64_t BatchLimits::head_positions(int64_t vocabulary) const {
  return std::max<int64_t>(1, logit_bytes / (vocabulary * int64_t{sizeof(float)}));
}

KvCache prefix_cache(const LanguageModel& model, const TokenIds& prefix, int64_t batch_tokens) {
  const c10::NoGradGuard no_gradients;
  KvCache cache;
  const std::vector<int64_t> ids(prefix.begin(), prefix.end());
  const at::Tensor all = at::tensor(ids, at::kLong).to(model.device).unsqueeze(0);
  while (cache.tokens() < all.size(1)) {
    const int64_t done = cache.tokens(), count = std::min(batch_tokens, all.size(1) - done);
    try {
      model.architecture->hidden(model.weights, {all.narrow(1, done, count)}, &cache);
    } catch (const c10::OutOfMemoryError&) {
      if (count == 1) throw;
      batch_tokens = count / 2;
    }
  }
  return cache;
}

std::vector<SequenceScore> score_sequences(const LanguageModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress) {
  const c10::NoGradGuard no_gradients;
  std::vector<SequenceScore> scores(sequences.size());
  const std::vector<TreeGroup> groups = groups_of(model, sequences, limits.packing);
  int64_t total = 0;
  for (const TreeGroup& group : groups) total += tokens_in(group);

  if (progress) progress(0, total);
  Scorer scorer(model, limits, scores);
  for (const TreeGroup& group : groups) {
    KvCache cache;
    const bool has_prefix = !group.prefix.empty();
    if (has_prefix) cache = prefix_cache(model, group.prefix, limits.tokens);
    auto done = static_cast<int64_t>(group.prefix.size());
    for (size_t begin = 0; begin < group.trees.size();) {
      const size_t count = scorer.run(group, has_prefix ? &cache : nullptr, begin);
      for (size_t i = begin; i < begin + count; ++i)
        done += static_cast<int64_t>(group.trees[i].size());
      if (progress) progress(done, total);
      done = 0;
      begin += count;
    }
  }
  return scores;
}

}  // namespace assay
