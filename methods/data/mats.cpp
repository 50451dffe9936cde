#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "methods/data/layer_fit.h"
#include "methods/data/tensor_components.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// An equation sum_i L_i W R_i = sum_i L_i W_i R_i of one tensor as a matrix W [rows, columns].
struct MatchingProblem {
  std::vector<at::Tensor> experts;  ///< float64
  std::vector<at::Tensor> right;    ///< of each expert [columns, columns]; or, where `elements`,
                                    ///< what multiplies each element
  std::vector<at::Tensor> left;     ///< [rows, rows]; empty: all are the identity
  bool elements = false;
  at::Tensor total{};  ///< the sum of all R_i, where there are no L_i

  at::Tensor right_side() const;
  /// sum_i L_i x R_i.
  at::Tensor apply(const at::Tensor& x) const;

 private:
  /// Adds L_i x R, or x R where there is no L_i.
  void add_term(at::Tensor& sum, const at::Tensor& x, const at::Tensor& r, size_t i) const;
};

/// MaTS: matches models in the subspaces that matter to their tasks. The merge minimises a sum of
/// quadratic distances to the experts; conjugate gradients approach its minimum from a start, which
/// the directions without data keep, and stopping early keeps near.
struct Mats {
  enum class Objective { kGram, kKfac, kBlockFisher, kDiagonal };

  static constexpr MethodInfo info{
      .name = "mats",
      .paper = "arXiv:2312.04339 §4",
      .summary = "conjugate gradients towards the best match of all experts on their own data",
      .needs = {.calibration_inputs = true},
      .flops = "2 (N + 1) m n^2, and 2 m n^2 + 10 m n per iteration, for n inputs and m outputs"};
  static constexpr Preset presets[] = {
      {"kfac", R"({"objective": "kfac"})", "distances by the two factors of K-FAC"},
      {"ia3", R"({"objective": "block_fisher", "iterations": 10})",
       "for vectors, as of (IA)³: the whole Fisher information of each; published with 'start' "
       "Task Arithmetic with 0.2, which needs the base"},
      {"t5", R"({"start": {"method": "task_arithmetic", "scale": 0.3}})",
       "as published for T5-large: from Task Arithmetic with 0.3"},
      {"realistic", R"({"start": {"method": "task_arithmetic", "scale": 0.1}, "iterations": 20})",
       "the example of Realistic Evaluation: 20 steps from Task Arithmetic with 0.1"},
      {"git_theta", R"({"start": {"method": "linear", "normalize": false}, "iterations": 10})",
       "git-theta's plug-in, which starts at the sum of the experts where their mean is meant"}};
  Objective objective = Objective::kGram;
  int64_t iterations = 100;
  double rtol = 1e-5;
  double atol = 0;
  MethodComponent start{"average"};
  double alpha = 1;
  std::vector<double> weights;
  Heads heads = Heads::kOthers;
  MethodComponent others{kOthersDefault};

  void parameters(auto&& p) {
    p(objective,
      {.name = "objective",
       .choices = {"gram", "kfac", "block_fisher", "diagonal"},
       .help = "what measures distances: of linear layers by the Gram matrices of their inputs "
               "(gram; at the minimum RegMean), or also by those of their outputs' gradients "
               "(kfac); of vectors by their whole Fisher information (block_fisher); of all "
               "tensors by its diagonal (diagonal; at the minimum Fisher merging)"});
    p(iterations, {.name = "iterations",
                   .range = {0, 10000},
                   .sweep = {10, 20, 50, 100},
                   .help = "at most so many steps"});
    p(rtol, {.name = "rtol",
             .range = {0, 1},
             .help = "stop when the residual's norm is below this multiple of the right side's"});
    p(atol, {.name = "atol", .range = {0, 1e9}, .help = "stop when the residual's norm is below"});
    p(start, {.name = "start", .help = "the method whose merge is the start"});
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .help = "multiplier of the entries off the diagonals of Gram matrices and of the "
                      "Fisher information of vectors"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
    heads_parameter(heads, p);
    others_parameter(others, p);
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.gradients = needs.calibration_labels = objective != Objective::kGram;
    return unite(unite(needs, others->needs()), start->needs());
  }
  std::vector<StatisticRef> statistics() const;
  std::optional<std::string> conflict() const;
  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& job) const;

 private:
  static StatisticRef fisher_statistic() { return {"fisher", {{"estimator", "empirical"}}}; }

  /// The layer whose inputs and outputs measure; null where the tensor itself does.
  const LayerInfo* layer_of(const Evidence& evidence, const std::string& tensor) const;
  bool matched(const Evidence& evidence, const std::string& tensor, size_t experts) const;
  MatchingProblem problem(const TensorJob& job) const;
};

std::vector<StatisticRef> Mats::statistics() const {
  std::vector<StatisticRef> all = others->statistics();
  for (const StatisticRef& statistic : start->statistics()) all.push_back(statistic);
  if (objective == Objective::kGram || objective == Objective::kKfac) all.push_back({"input_gram"});
  if (objective == Objective::kKfac) all.push_back({"output_gradient_gram"});
  if (objective == Objective::kBlockFisher) all.push_back({"vector_fisher"});
  if (objective == Objective::kDiagonal) all.push_back(fisher_statistic());
  return all;
}

std::optional<std::string> Mats::conflict() const {
  if (auto reason = zero_sum(weights, "a sum above 0")) return reason;
  if (auto reason = component_conflict("start", start)) return reason;
  return component_conflict("others", others);
}

const LayerInfo* Mats::layer_of(const Evidence& evidence, const std::string& tensor) const {
  if (objective == Objective::kBlockFisher || objective == Objective::kDiagonal) return nullptr;
  return fitted_layer(evidence, tensor, heads);
}

bool Mats::matched(const Evidence& evidence, const std::string& tensor, size_t experts) const {
  if (objective == Objective::kGram || objective == Objective::kKfac)
    return layer_of(evidence, tensor) != nullptr;
  const StatisticRef statistic = statistics().back();
  for (size_t i = 0; i < experts; ++i)
    if (!evidence.statistic(statistic, i)->find(tensor)) return false;
  return true;
}

void Mats::prepare(const ModelJob& job) {
  check_weights(weights, job);
  const auto own = [&](const std::string& tensor) {
    return matched(job.evidence(), tensor, job.num_experts());
  };
  prepare_component(start, job, own);
  prepare_component(others, job, std::not_fn(own));
}

void MatchingProblem::add_term(at::Tensor& sum, const at::Tensor& x, const at::Tensor& r,
                               size_t i) const {
  if (elements) {
    sum.addcmul_(x, r);
    return;
  }
  at::Tensor product = left.empty() ? sum : at::zeros_like(sum);
  for_row_chunks(product, [&](int64_t first, int64_t count) {
    product.narrow(0, first, count).addmm_(x.narrow(0, first, count), r);
  });
  if (left.empty()) return;
  for_row_chunks(sum, [&](int64_t first, int64_t count) {
    sum.narrow(0, first, count).addmm_(left[i].narrow(0, first, count), product);
  });
}

at::Tensor MatchingProblem::right_side() const {
  at::Tensor sum = at::zeros_like(experts.front());
  for (size_t i = 0; i < experts.size(); ++i) add_term(sum, experts[i], right[i], i);
  return sum;
}

at::Tensor MatchingProblem::apply(const at::Tensor& x) const {
  at::Tensor sum = at::zeros_like(x);
  if (total.defined())
    add_term(sum, x, total, 0);
  else
    for (size_t i = 0; i < experts.size(); ++i) add_term(sum, x, right[i], i);
  return sum;
}

MatchingProblem Mats::problem(const TensorJob& job) const {
  const Evidence& evidence = job.evidence();
  const std::vector<double> shares = expert_weights(weights, job.experts.size());
  const at::Device device = job.experts.front().device();
  MatchingProblem problem;
  problem.elements = objective == Objective::kDiagonal;
  const LayerInfo* layer = layer_of(evidence, job.name);
  if (layer)
    problem.experts = layer_matrices(job.experts, *layer, shares).experts;
  else
    for (const at::Tensor& expert : job.experts)
      problem.experts.push_back(expert.to(at::kDouble).reshape({1, -1}));

  const int64_t columns = problem.experts.front().size(1);
  const GramReader inputs{{layer ? "input_gram" : "vector_fisher"}, alpha};
  const GramReader outputs{{"output_gradient_gram"}, alpha};
  for (size_t i = 0; i < problem.experts.size(); ++i) {
    at::Tensor right;
    if (problem.elements)
      right = evidence.statistic(fisher_statistic(), i)->read(job.name).to(device, at::kDouble);
    else
      right = inputs.read(evidence, i, layer ? layer->input : job.name, columns, device);
    if (problem.elements && right.numel() != columns)
      data_error("the statistic 'fisher' of expert {} has {} elements for tensor '{}': expected {}",
                 i, right.numel(), job.name, columns);
    right = right * shares[i];
    problem.right.push_back(problem.elements ? right.reshape({1, -1}) : right);
  }
  // A layer without any has too many outputs, as heads over a vocabulary have: only inputs count.
  bool has_outputs = false;
  for (size_t i = 0; i < problem.experts.size() && objective == Objective::kKfac; ++i)
    has_outputs |= evidence.statistic(outputs.statistic, i)->find(job.name) != nullptr;
  for (size_t i = 0; i < problem.experts.size() && has_outputs; ++i)
    problem.left.push_back(
        outputs.read(evidence, i, job.name, problem.experts.front().size(0), device));
  if (problem.left.empty()) {
    problem.total = problem.right[0].clone();
    for (size_t i = 1; i < problem.right.size(); ++i) problem.total.add_(problem.right[i]);
  }
  return problem;
}

/// The inner product of two matrices, added up in a fixed order.
double inner_product(const at::Tensor& a, const at::Tensor& b) {
  std::vector<double> sums(static_cast<size_t>(a.size(0)));
  for_row_chunks(a, [&](int64_t first, int64_t count) {
    sums[static_cast<size_t>(first)] =
        (a.narrow(0, first, count) * b.narrow(0, first, count)).sum().item<double>();
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

at::Tensor Mats::merge(const TensorJob& job) const {
  if (!matched(job.evidence(), job.name, job.experts.size())) return merge_by(others, job);
  const MatchingProblem matching = problem(job);
  const LayerInfo* layer = layer_of(job.evidence(), job.name);
  const at::Tensor first = merge_by(start, job).reshape(job.experts.front().sizes());
  at::Tensor x = layer ? (layer->in_out ? first.t() : first.flatten(1)) : first.reshape({1, -1});
  x = x.to(at::kDouble).contiguous().clone();

  const at::Tensor b = matching.right_side();
  // One step length for the whole matrix, and SciPy's rule to stop, as in the published code.
  const double enough = std::max(atol, rtol * std::sqrt(inner_product(b, b)));
  at::Tensor residual = b - matching.apply(x), direction;
  double square = inner_product(residual, residual), before = 1;
  int64_t steps = 0;
  for (; steps < iterations && square > 0 && std::sqrt(square) >= enough; ++steps) {
    direction =
        direction.defined() ? direction.mul_(square / before).add_(residual) : residual.clone();
    const at::Tensor applied = matching.apply(direction);
    const double curvature = inner_product(direction, applied);
    if (!(curvature > 0)) break;  // no data in this direction
    x.add_(direction, square / curvature);
    residual.sub_(applied, square / curvature);
    before = square;
    square = inner_product(residual, residual);
  }
  job.report("steps", static_cast<double>(steps));
  job.report("residual", std::sqrt(square));
  return layer ? stored_weight(x, *layer, job.experts.front().sizes())
               : x.reshape(job.experts.front().sizes()).to(at::kFloat);
}

ASSAY_METHOD(Mats)

}  // namespace
}  // namespace assay
