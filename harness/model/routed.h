/// Routed ensembles: whole models in one folder. For every sequence a router decides once, by the
/// prompt, which of them answer it and with what share (BTM, arXiv:2208.03306; MergeME,
/// arXiv:2502.00997). docs/routed-ensembles.md describes the folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/ensemble_rule.h"
#include "harness/model/sequence_router.h"

namespace assay {

class Decoder;

/// What config.json says besides the members' own one.
struct RoutingOptions {
  using Mix = MemberMix;

  int64_t members = 2;
  SequenceRouterKind router = SequenceRouterKind::kPerplexity;
  int64_t top_k = 2;
  double temperature = 1;
  bool ascent = false;
  Mix mix = Mix::kProbabilities;
  std::vector<std::string> shared{};
  int64_t opening = 32;

  void parameters(auto&& p);
};

/// Not a LanguageArchitecture: it answers no token before a decision is made.
class RoutedArchitecture final : public Architecture {
 public:
  /// `members`: each one's. UserError when they, or the options, do not fit together: layers and
  /// shared tensors take members of the same tensors, all take one vocabulary.
  RoutedArchitecture(MemberArchitectures members, RoutingOptions options);
  /// `member`: every member's.
  RoutedArchitecture(const std::shared_ptr<const LanguageArchitecture>& member,
                     RoutingOptions options);

  Json config() const override;
  /// Every member's tensors as "members.I.NAME", those that they share when they answer as "NAME",
  /// the router's as "router.NAME". Where hidden states are mixed, "embedding.weight" and
  /// "head.weight" [vocabulary, widest] and each member's "projectors.I.in.weight" [own, widest]
  /// and "projectors.I.out.weight" [widest, own].
  std::vector<TensorInfo> tensors() const override;
  StateDict initial_weights(uint64_t seed) const override;
  /// [rows, tokens, vocabulary] for ids [rows, tokens]: a row is the prompt that decides about it.
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
  CheckpointNames checkpoint_names() const override;

  int64_t vocabulary() const { return first().vocabulary(); }
  int64_t max_positions() const;
  /// The models that answer a token.
  int64_t members() const;
  const RoutingOptions& options() const { return options_; }
  /// Each member's.
  const MemberArchitectures& architectures() const { return members_; }
  /// As many as answer: the largest members, of equal ones the first.
  std::vector<size_t> largest_members() const;
  /// What a token is multiplied by where these answer: their own tensors, and those that they
  /// share.
  std::vector<std::string> answering_tensors() const;
  /// Of a text without a prompt, the tokens at its beginning, at least 1, that all members answer
  /// alike and that decide about the rest.
  int64_t opening() const { return options_.opening; }

  /// The share of each member in what follows the prompt; they sum to 1. Equal shares for a prompt
  /// that tells the router nothing. A RouterObserver sees it.
  std::vector<double> decide(const StateDict& weights, const TokenIds& prompt) const;
  std::vector<double> equal_shares() const;
  /// The members with a share, as one model: the one where there is one, else the weighted sum of
  /// their probabilities, or their weighted geometric mean, token by token; or their layers on one
  /// residual stream; or their last hidden states between one embedding and one head, also of one.
  LanguageModel mixed(const TextModel<RoutedArchitecture>& model,
                      const std::vector<double>& shares) const;

 private:
  const LanguageArchitecture& first() const { return *members_.front(); }
  void check_members() const;
  /// Those that only a mixture of hidden states has.
  std::vector<TensorInfo> hidden_tensors() const;
  StateDict member_weights(const StateDict& weights, size_t member) const;
  /// With the tensors that members share when they answer.
  StateDict answering_weights(const StateDict& weights, size_t member) const;

  MemberArchitectures members_;
  RoutingOptions options_;
  std::shared_ptr<const Decoder> layered_;  ///< every member's; null unless layers are mixed
  std::unique_ptr<const SequenceRouter> router_;
};

using RoutedModel = TextModel<RoutedArchitecture>;

}  // namespace assay
