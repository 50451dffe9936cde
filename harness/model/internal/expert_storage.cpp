#include "harness/model/internal/expert_storage.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/model/internal/config_fields.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

using Matrices = std::map<std::string, LowRankMatrix>;

int64_t whole_number(const JsonReader& json, int64_t least, int64_t most) {
  const int64_t value = json.as_integer();
  if (value < least || value > most)
    json.fail(fmt::format("expected a whole number of {} to {}", least, most));
  return value;
}

/// A feed-forward of matrices of which some are stored as factors; plain without a gate.
class LowRankFeedForward final : public FeedForward {
 public:
  struct Names {
    std::string gate, up, down;
  };
  LowRankFeedForward(const FeedForwardShape& shape, Names names,
                     std::shared_ptr<const Matrices> matrices)
      : shape_(shape), names_(std::move(names)), matrices_(std::move(matrices)) {}

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    const at::Tensor up = multiply(weights, names_.up, x);
    if (names_.gate.empty()) return multiply(weights, names_.down, shape_.activation(up));
    const at::Tensor gate = shape_.activation(multiply(weights, names_.gate, x));
    return multiply(weights, names_.down, gate * up);
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    if (!names_.gate.empty()) add(all, names_.gate, shape_.width, shape_.inner);
    add(all, names_.up, shape_.width, shape_.inner);
    add(all, names_.down, shape_.inner, shape_.width);
    return all;
  }

 private:
  at::Tensor multiply(const StateDict& weights, const std::string& name,
                      const at::Tensor& x) const {
    const auto found = matrices_->find(name);
    if (found == matrices_->end()) return linear(weights, name, x);
    const at::Tensor y = linear(weights, name + ".left", linear(weights, name + ".right", x));
    if (found->second.rows == 0) return y;
    const at::Tensor rest = linear(weights, name + ".rest", x);
    // Which rows these are is a value, and there are none.
    if (const auto* layers = LayerObserver::active(); layers && layers->shapes_only()) return y;
    const at::Tensor rows = weights.at(name + ".kept").detach().nonzero().flatten();
    if (rows.numel() != found->second.rows)
      data_error("'{}.kept' keeps {} rows, and '{}.rest.weight' has {}", name, rows.numel(), name,
                 found->second.rows);
    return y.index_add(-1, rows, rest);
  }

  void add(std::vector<TensorInfo>& all, const std::string& name, int64_t in, int64_t out) const {
    const auto found = matrices_->find(name);
    if (found == matrices_->end()) return add_linear(all, name, in, out, false);
    add_linear(all, name + ".left", found->second.rank, out, false);
    add_linear(all, name + ".right", in, found->second.rank, false);
    if (found->second.rows == 0) return;
    add_linear(all, name + ".rest", in, found->second.rows, false);
    all.push_back({name + ".kept", at::kFloat, {out}});
  }

  FeedForwardShape shape_;
  Names names_;
  std::shared_ptr<const Matrices> matrices_;
};

}  // namespace

ExpertStorage::ExpertStorage(ConfigFields& config, int64_t experts, int64_t blocks) {
  if (const auto stored = config.find("stored_experts")) {
    const bool by_block = stored->json().is_array();
    if (by_block)
      for (const JsonReader& of_block : stored->elements())
        stored_.push_back(whole_number(of_block, 0, experts));
    else
      stored_.assign(static_cast<size_t>(blocks), whole_number(*stored, 1, experts));
    if (static_cast<int64_t>(stored_.size()) > blocks)
      stored->fail(fmt::format("expected a number for each of at most {} blocks", blocks));
  }
  if (const auto matrices = config.find("low_rank_experts")) {
    Matrices found;
    constexpr int64_t kMost = int64_t{1} << 30;
    for (auto& [name, matrix] : matrices->entries()) {
      found[name] = {whole_number(matrix.at("rank"), 1, kMost),
                     whole_number(matrix.at("rows"), 0, kMost)};
      matrix.finish();
    }
    low_rank_ = std::make_shared<const Matrices>(std::move(found));
  }
}

int64_t ExpertStorage::stored(int64_t block) const {
  return block < static_cast<int64_t>(stored_.size()) ? stored_[static_cast<size_t>(block)] : 0;
}

bool ExpertStorage::has_factors(const std::string& matrix) const {
  return low_rank_ && low_rank_->contains(matrix);
}

std::unique_ptr<FeedForward> ExpertStorage::gated(const FeedForwardShape& shape, std::string gate,
                                                  std::string up, std::string down) const {
  if (has_factors(gate) || has_factors(up) || has_factors(down))
    return std::make_unique<LowRankFeedForward>(
        shape, LowRankFeedForward::Names{std::move(gate), std::move(up), std::move(down)},
        low_rank_);
  return gated_feed_forward(shape, std::move(gate), std::move(up), std::move(down));
}

std::unique_ptr<FeedForward> ExpertStorage::plain(const FeedForwardShape& shape, std::string up,
                                                  std::string down) const {
  if (has_factors(up) || has_factors(down))
    return std::make_unique<LowRankFeedForward>(
        shape, LowRankFeedForward::Names{"", std::move(up), std::move(down)}, low_rank_);
  return plain_feed_forward(shape, std::move(up), std::move(down));
}

}  // namespace assay
