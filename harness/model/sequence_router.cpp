#include "harness/model/sequence_router.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/model/hidden_mixture.h"

namespace assay {
namespace {

using routed_names::kRouterEmbedding, routed_names::kRouterIdf, routed_names::kRouterRows;

at::Tensor ids_on(const TokenIds& ids, at::Device device) {
  return at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong).to(device);
}

/// The mean of -log P of the tokens after the first, with gradients where weights ask for them.
at::Tensor mean_loss(const LanguageArchitecture& architecture, const StateDict& weights,
                     const TokenIds& ids) {
  const at::Tensor all = ids_on(ids, weights.begin()->second.device());
  const int64_t predicted = all.numel() - 1;
  const at::Tensor hidden =
      architecture.hidden(weights, {all.narrow(0, 0, predicted).unsqueeze(0)}, nullptr);
  const at::Tensor logits = architecture.vocabulary_logits(weights, hidden).squeeze(0);
  const at::Tensor log_probabilities = at::log_softmax(logits, -1, at::kFloat);
  return -log_probabilities.gather(1, all.narrow(0, 1, predicted).unsqueeze(1)).mean(at::kDouble);
}

TensorInfo rows_info(const LanguageArchitecture& architecture, int64_t members) {
  TensorInfo info = embedding_info(architecture);
  info.name = kRouterRows;
  info.shape.front() = members;
  return info;
}

std::vector<double> values_of(const at::Tensor& vector) {
  const at::Tensor all = vector.cpu().contiguous();
  return {all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel()};
}

/// Of each row and the vector; 0 where one of them is 0.
std::vector<double> cosines(const at::Tensor& matrix, const at::Tensor& vector) {
  const at::Tensor rows = matrix.to(at::kDouble);
  const at::Tensor lengths = (rows.norm(2, {1}) * vector.norm()).clamp_min(1e-30);
  return values_of(at::mv(rows, vector) / lengths);
}

struct ByPerplexity final : SequenceRouter {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const c10::NoGradGuard no_gradients;
    std::vector<double> scores;
    for (size_t i = 0; i < prompt.members.size(); ++i)
      scores.push_back(std::exp(
          -mean_loss(*prompt.architectures[i], prompt.members[i], prompt.ids).item<double>()));
    return scores;
  }
  size_t least_tokens() const override { return 2; }
};

class ByGradient final : public SequenceRouter {
 public:
  explicit ByGradient(bool ascent) : sign_(ascent ? 1 : -1) {}
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const c10::AutoGradMode gradients(true);
    const LanguageArchitecture& architecture = *prompt.architectures.front();  // all have its
    StateDict base;
    std::vector<at::Tensor> leaves;
    std::vector<std::string> names;
    for (const TensorInfo& info : architecture.tensors()) {
      at::Tensor leaf = prompt.own.at(routed_names::kRouterBase + info.name).detach();
      if (leaf.is_floating_point()) {
        leaf = leaf.to(at::kFloat).clone().requires_grad_(true);
        leaves.push_back(leaf);
        names.push_back(info.name);
      }
      base[info.name] = leaf;
    }
    const at::Tensor loss = mean_loss(architecture, base, prompt.ids);
    const auto found = torch::autograd::grad({loss}, leaves, {}, std::nullopt, false, true);

    const c10::NoGradGuard no_gradients;
    std::vector<double> scores;
    for (const StateDict& member : prompt.members) {
      double product = 0, own = 0, of_gradient = 0;
      for (size_t i = 0; i < leaves.size(); ++i) {
        if (!found[i].defined()) continue;  // not used in the forward pass
        const at::Tensor delta = (member.at(names[i]).to(at::kFloat) - leaves[i]).to(at::kDouble);
        const at::Tensor gradient = found[i].to(at::kDouble);
        product += (delta * gradient).sum().item<double>();
        own += delta.square().sum().item<double>();
        of_gradient += gradient.square().sum().item<double>();
      }
      const double lengths = std::sqrt(own) * std::sqrt(of_gradient);
      scores.push_back(lengths == 0 ? 0 : sign_ * product / lengths);
    }
    return scores;
  }
  std::vector<TensorInfo> tensors(const LanguageArchitecture& architecture,
                                  int64_t /*members*/) const override {
    std::vector<TensorInfo> all = architecture.tensors();
    for (TensorInfo& info : all) info.name.insert(0, routed_names::kRouterBase);
    return all;
  }
  size_t least_tokens() const override { return 2; }

 private:
  double sign_;
};

struct ByEmbedding final : SequenceRouter {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const c10::NoGradGuard no_gradients;
    const at::Tensor& table = prompt.own.at(kRouterEmbedding);
    const at::Tensor mean =
        table.index_select(0, ids_on(prompt.ids, table.device())).to(at::kDouble).mean(0);
    return cosines(prompt.own.at(kRouterRows), mean);
  }
  std::vector<TensorInfo> tensors(const LanguageArchitecture& architecture,
                                  int64_t members) const override {
    TensorInfo embedding = embedding_info(architecture);
    embedding.name = kRouterEmbedding;
    return {embedding, rows_info(architecture, members)};
  }
};

struct ByTfidf : SequenceRouter {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const c10::NoGradGuard no_gradients;
    return cosines(prompt.own.at(kRouterRows), weighted_counts(prompt));
  }
  std::vector<TensorInfo> tensors(const LanguageArchitecture& architecture,
                                  int64_t members) const override {
    TensorInfo idf = embedding_info(architecture), rows = idf;
    idf.name = kRouterIdf;
    idf.shape = {architecture.vocabulary()};
    rows.name = kRouterRows;
    rows.shape = {members, architecture.vocabulary()};
    return {idf, rows};
  }

 protected:
  static at::Tensor weighted_counts(const RoutedPrompt& prompt) {
    const at::Tensor idf = prompt.own.at(kRouterIdf).to(at::kDouble);
    const at::Tensor counts = at::bincount(ids_on(prompt.ids, idf.device()), {}, idf.numel());
    return counts.to(at::kDouble) * idf;
  }
};

struct ByRegression final : ByTfidf {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const c10::NoGradGuard no_gradients;
    const at::Tensor counts = weighted_counts(prompt);
    return values_of(at::mv(prompt.own.at(kRouterRows).to(at::kDouble),
                            counts / counts.norm().clamp_min(1e-30)));
  }
};

struct AtRandom final : SequenceRouter {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    const at::Tensor rows = prompt.own.at(kRouterRows).to(at::kCPU, at::kFloat).contiguous();
    Hasher hasher;
    hasher.bytes(rows.const_data_ptr(), rows.nbytes());
    for (const TokenId id : prompt.ids) hasher.number(static_cast<uint64_t>(id));
    Rng rng(hasher.low64());
    std::vector<double> scores;
    for (size_t i = 0; i < prompt.members.size(); ++i) scores.push_back(rng.uniform());
    return scores;
  }
  std::vector<TensorInfo> tensors(const LanguageArchitecture& architecture,
                                  int64_t members) const override {
    return {rows_info(architecture, members)};
  }
};

struct AllAlike final : SequenceRouter {
  std::vector<double> scores(const RoutedPrompt& prompt) const override {
    return std::vector<double>(prompt.members.size(), 0);
  }
};

}  // namespace

TensorInfo embedding_info(const LanguageArchitecture& architecture) {
  const std::string name = vocabulary_names(architecture).embedding;
  const std::vector<TensorInfo> all = architecture.tensors();
  return *std::find_if(all.begin(), all.end(),
                       [&](const TensorInfo& info) { return info.name == name; });
}

std::unique_ptr<SequenceRouter> make_sequence_router(SequenceRouterKind kind, bool ascent) {
  switch (kind) {
    case SequenceRouterKind::kPerplexity:
      return std::make_unique<ByPerplexity>();
    case SequenceRouterKind::kTaskVectorGradient:
      return std::make_unique<ByGradient>(ascent);
    case SequenceRouterKind::kSequenceEmbedding:
      return std::make_unique<ByEmbedding>();
    case SequenceRouterKind::kTfidf:
      return std::make_unique<ByTfidf>();
    case SequenceRouterKind::kLogistic:
      return std::make_unique<ByRegression>();
    case SequenceRouterKind::kRandom:
      return std::make_unique<AtRandom>();
    case SequenceRouterKind::kUniform:
      return std::make_unique<AllAlike>();
  }
  ASSAY_CHECK(false, "no such router of sequences");
}

std::vector<double> shares_of(const std::vector<double>& scores, int64_t top_k,
                              double temperature) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), static_cast<size_t>(top_k)));
  std::vector<double> shares(scores.size(), 0);
  double sum = 0;
  for (const size_t i : order)
    sum += shares[i] = std::exp((scores[i] - scores[order.front()]) / temperature);
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace assay
