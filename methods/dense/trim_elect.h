/// TIES' steps, arXiv:2306.01708: trim each task vector by magnitude, elect a sign per entry, merge
/// the entries that agree. Variants published under the same name differ by parameters.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "methods/dense/task_vectors.h"
#include "methods/mergekit/introsort_trim.h"

namespace assay {

struct TrimElect {
  enum class Scope { kModel, kTensor };
  enum class TrimRule { kKthGe, kExactCount };
  enum class Ties { kIndex, kIntrosort };
  enum class Tie { kGlobalMajority, kPlusOne, kZero };
  /// Reduce without kSumAll, which has no election.
  enum class Agree { kMean, kSum, kMax, kWeightedMean };

  TrimElect() : TrimElect(RandomDrop{.drop = 0}) {}
  explicit TrimElect(const RandomDrop& drop) : before(drop) {}

  double density = 0.2;
  std::vector<double> densities;
  Scope scope = Scope::kModel;
  TrimRule rule = TrimRule::kKthGe;
  Ties tie_order = Ties::kIndex;
  Elect elect = Elect::kMass;
  Tie tie = Tie::kGlobalMajority;
  Agree reduce = Agree::kMean;
  std::vector<double> weights;
  Compute compute = Compute::kFloat32;
  RandomDrop before;  ///< what happens to the task vectors before they are trimmed

  /// All but `density` and `before`, which methods declare themselves.
  void parameters(auto&& p) {
    trim_parameters(p);
    p(elect, {.name = "elect.rule",
              .choices = {"mass", "count"},
              .help = "the sign of an entry is that of the sum, or of the majority"});
    p(tie, {.name = "elect.tie",
            .choices = {"global_majority", "plus_one", "zero"},
            .help = "the sign where the vote is exactly zero: that "
                    "of most entries of the model, plus, or none"});
    p(reduce, {.name = "reduce",
               .choices = {"mean_agree", "sum_agree", "max_agree", "weighted_mean_agree"},
               .help = "what becomes of the nonzero entries that have the elected sign"});
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    compute_parameter(compute, p);
  }

  /// Of these, those of the trim.
  void trim_parameters(auto&& p) {
    p(densities, {.name = "densities",
                  .range = {0, 1},
                  .help = "a density per expert; empty: density for all of them"});
    p(scope, {.name = "trim.scope",
              .choices = {"model", "tensor"},
              .help = "whether the share to keep is taken of each whole model or of each tensor"});
    p(rule,
      {.name = "trim.rule",
       .choices = {"kth_ge", "exact_count"},
       .help = "keep what reaches the k-th smallest magnitude, ties included, where k is n - "
               "int(density n) (the paper's code), or exactly max(1, int(density n)) entries"});
    p(tie_order,
      {.name = "trim.ties",
       .choices = {"index", "introsort"},
       .help = "which of the entries of equal magnitude an exact count keeps: the first, or "
               "those that mergekit's sort puts first"});
  }

  /// The keys of one expert's tensor, where ties are kept as introsort leaves them.
  int64_t working_bytes(const TensorInfo& tensor) const;
  /// Finds thresholds that span the model, and the global majority, where they are asked for.
  void prepare(const ModelJob& job);
  /// What each expert's part in the merge of a tensor is: what is dropped, trimmed, weighed.
  struct Trimmed {
    std::vector<DeltaTerm> terms;
    std::vector<mergekit::KeepMask> keep_masks;  ///< what the terms' keep_mask point to
  };
  Trimmed measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& part, const Trimmed& trimmed, double scale) const;
  /// What the trim leaves of one expert's delta, a whole tensor.
  at::Tensor alone(const Trimmed& trimmed, size_t expert, const at::Tensor& delta) const;

 private:
  struct Threshold {
    uint32_t bits = 0;
    int64_t ties = -1;  ///< how many entries of exactly this magnitude are kept; -1: all
  };

  double share(size_t expert) const { return densities.empty() ? density : densities[expert]; }
  bool trims() const;
  std::vector<DeltaTerm> untrimmed(const TensorParts& tensor) const;
  Trimmed trimmed(const TensorParts& tensor) const;
  /// What an expert's untrimmed deltas of a tensor depend on, for keys of cached values.
  std::string delta_key(const TensorParts& tensor, size_t expert, const DeltaTerm& term) const;
  /// Calls its argument with the index of every tensor, of several perhaps concurrently.
  using Visit = std::function<void(const std::function<void(size_t place)>& body)>;
  /// One threshold per expert, over all of the tensors together.
  std::vector<Threshold> find_thresholds(const std::vector<TensorParts>& tensors,
                                         const Visit& visit) const;
  /// The same for some experts, not cached. `terms`: untrimmed, per tensor and expert.
  std::vector<Threshold> select_thresholds(const std::vector<TensorParts>& tensors,
                                           const Visit& visit,
                                           const std::vector<std::vector<DeltaTerm>>& terms,
                                           const std::vector<size_t>& experts) const;
  /// Where in the tensor each expert has its last tie, by how many of its ties are `left`, which
  /// falls by those found.
  std::vector<int64_t> tie_ends(const TensorParts& tensor, const std::vector<DeltaTerm>& untrimmed,
                                const std::vector<Threshold>& thresholds,
                                std::vector<int64_t>& left) const;
  /// trimmed() with ties as introsort leaves them.
  Trimmed introsorted(const TensorParts& tensor) const;
  /// The rank, from the smallest, of the smallest magnitude that an expert keeps among `count`; 0:
  /// it keeps all.
  int64_t threshold_rank(size_t expert, int64_t count) const;

  std::vector<Threshold> model_thresholds_;
  std::map<std::string, std::vector<int64_t>> model_tie_ends_;  ///< per tensor, per expert
  /// Per tensor, what trimmed() gave when the global majority was counted.
  std::map<std::string, Trimmed> prepared_;
  float majority_ = 0;
};

}  // namespace assay
