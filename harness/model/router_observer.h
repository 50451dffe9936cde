/// Shows what the routers of mixtures of experts decide to code that observes a model while it
/// runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace assay {

/// What a router decided about the tokens that it read, which may be padding, too
/// (CountedTokens::current()).
struct RoutedTokens {
  const std::string& router;  ///< the name of its weight
  const at::Tensor& x;        ///< [tokens, width]: what the router and the experts read
  const at::Tensor& logits;   ///< [tokens, experts]
  const at::Tensor& experts;  ///< int64 [tokens, k]: those that a token is sent to
  /// [tokens, k]: what their outputs are multiplied by; 0 where the expert had no place left.
  const at::Tensor& weights;
  /// [tokens, k, width]: of these experts, not yet multiplied; undefined for observers that do not
  /// read them.
  const at::Tensor& outputs;
  /// The experts and weights that other logits [tokens, experts] would give; an expert whose logit
  /// is minus infinity has no weight, and each has places for all.
  const std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& logits)>& choose;
  /// The output of any expert for any vectors [n, width].
  const std::function<at::Tensor(int64_t expert, const at::Tensor& x)>& run;
};

/// Sees every router that runs on this thread for as long as it lives. Observers nest: only the
/// innermost one sees.
class RouterObserver {
 public:
  RouterObserver();
  virtual ~RouterObserver();
  RouterObserver(const RouterObserver&) = delete;
  RouterObserver& operator=(const RouterObserver&) = delete;

  /// A router sent the tokens to experts, which have run.
  virtual void routed(const RoutedTokens& /*tokens*/) {}
  /// Whether it reads RoutedTokens::outputs: experts that several rows of the router lead to then
  /// run once for each of these rows.
  virtual bool reads_outputs() const { return true; }
  /// A routed ensemble decided about a prompt: each member's share in the answer; they sum to 1.
  virtual void decided(const std::vector<double>& /*shares*/) {}
  /// In a pass that looks at shapes only (LayerObserver::shapes_only()), where no token is routed:
  /// the names of the tensors of each of a router's experts, of which a token is sent to
  /// `per_token`.
  virtual void experts(const std::vector<std::vector<std::string>>& /*tensors*/,
                       int64_t /*per_token*/) {}

  /// nullptr when there is none on this thread.
  static RouterObserver* active();

 private:
  RouterObserver* outer_;
};

}  // namespace assay
