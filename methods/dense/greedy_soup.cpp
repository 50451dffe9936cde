#include <algorithm>

#include "methods/dense/sums.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// The mean of some of the experts: those that a greedy search keeps.
struct GreedySoup {
  static constexpr MethodInfo info{
      .name = "greedy_soup",
      .paper = "arXiv:2203.05482 Recipe 1",
      .summary = "mean of the experts that improve the validation score, added from the best on",
      .elementwise = true,
      .own_moments = true,
      .flops = "N d"};
  // As the authors' program does; their paper accepts equal scores, too ("accept": "ge").
  static constexpr std::string_view search =
      R"({"algorithm": "greedy", "space": {"members": [0, 1]}})";
  std::vector<double> members;

  void parameters(auto&& p) {
    p(members, {.name = "members",
                .range = {0, 1},
                .help = "1 for every expert in the soup, 0 for the others, in the order of the "
                        "merge; empty: all are"});
  }
  std::optional<std::string> conflict() const {
    for (const double member : members)
      if (member != 0 && member != 1)
        return fmt::format("parameter 'members' has {}: expected 0 or 1", member);
    if (!members.empty() && std::count(members.begin(), members.end(), 1) == 0)
      return "parameter 'members' has no member: expected a 1";
    return std::nullopt;
  }
  void prepare(const ModelJob& job) const { check_list("members", members, job); }
  at::Tensor merge(const TensorJob& job) const {
    const std::vector<double> factors = normalized_weights(members, job.experts.size());
    return members.empty() ? sum_of_experts(job, factors.front()) : sum_of_experts(job, factors);
  }
};

ASSAY_METHOD(GreedySoup)

}  // namespace
}  // namespace assay
