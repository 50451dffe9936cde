/// Matrices of experts stored as factors and rows (docs/merging-experts.md): NAME.weight [out, in]
/// as NAME.left.weight [out, rank], NAME.right.weight [rank, in], NAME.rest.weight [rows, in] and
/// NAME.kept [out], which is 1 for these rows of the rest and 0 for the others. A rest without rows
/// has neither of the last two.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/method/method.h"
#include "methods/moe/sparse_low_rank.h"

namespace assay {

/// Plans a matrix so, with all rows; how many are left is open.
void plan_factors(const TensorInfo& matrix, int64_t rank, OutputPlan& plan);
/// A job that was planned with such matrices, by the names that the model has: every matrix whole.
class WholeMatrices final : public ModelJob {
 public:
  explicit WholeMatrices(const ModelJob& job);
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return names_; }
  TensorParts parts(const std::string& name) const override { return job_.parts(planned(name)); }
  void for_each(const std::function<void(size_t index)>& body) const override;
  TensorJob tensor(const std::string& name) const override;
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  /// A tensor of the job that is made of this one.
  const std::string& planned(const std::string& name) const { return planned_.at(name); }

  const ModelJob& job_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> planned_;
};

/// Puts the parts of NAME.weight into the result.
void put_factors(const std::string& name, const SparseLowRank& matrix, StateDict& result);
/// The config.json of a model with these tensors: which matrices are stored so, `low_rank_experts`.
Json config_of_factors(Json config, const StateDict& made);

}  // namespace assay
