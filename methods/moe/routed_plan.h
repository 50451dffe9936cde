/// The tensors of a routed ensemble (docs/routed-ensembles.md), planned one kind after the other.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "harness/method/output_plan.h"

namespace assay {

/// Whether a tensor of a decoder is of a block's attention, by the names of all families.
bool in_attention(const std::string& name);
/// Whether it is of a block's feed-forward, or of its mixture of experts.
bool in_feed_forward(const std::string& name);

class RoutedPlan {
 public:
  /// `members`: indices of experts, and TensorView::kBase for the base.
  RoutedPlan(const PlanInputs& models, std::vector<size_t> members);

  /// Each member, whole and as it came.
  void add_members();
  /// The tensors that members do not keep, merged. Returns their names. SkipCell when all are kept
  /// where some should not be.
  std::vector<std::string> add_shared(const std::function<bool(const std::string&)>& keeps);
  /// The base, for a router that compares with it.
  void add_base();
  /// The embedding by which a router reads prompts: the base's, or the first expert's without one.
  /// SkipCell when their shapes differ.
  void add_router_embedding();
  /// A row of the width of the first member's embedding for each member.
  void add_rows();
  /// A row of the length of the vocabulary for each member, and one more for all.
  void add_token_rows();
  /// What lies between members of different widths: the embedding and the head of all, merged of
  /// theirs with zeros up to the widest, and their projectors. SkipCell when vocabularies differ,
  /// when a member has no embedding that is known by its name, or no matrix of as many rows as the
  /// widest has columns.
  void add_hidden();

  /// config.json of the members, one for all where they have the same tensors.
  Json member_config() const;
  size_t members() const { return members_.size(); }
  std::vector<OutputTensor> take() { return std::move(tensors_); }

 private:
  const TensorSource& source(size_t model) const;
  size_t reference() const;
  void add(std::string name, const std::vector<size_t>& of, const TensorView& view);
  /// The router's values or a projector's, for which the view gives shape and dtype.
  void add_made(std::string name, const std::vector<size_t>& of, const TensorView& view);

  const PlanInputs& models_;
  std::vector<size_t> members_;
  std::vector<OutputTensor> tensors_;
};

}  // namespace assay
