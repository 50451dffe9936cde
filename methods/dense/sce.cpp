#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// SCE: select the entries in which the experts differ most, calculate a weight per expert from the
/// squares of its task vector, erase the entries of the minority's sign.
struct Sce {
  enum class Merged { kSelected, kAll };

  static constexpr MethodInfo info{
      .name = "sce",
      .paper = "arXiv:2408.07990 §3.3",
      .summary = "select entries by variance, weigh experts by energy, erase the minority's signs",
      .needs = {.base = true},
      .flops = "(10 N + 3) d"};
  static constexpr Preset presets[] = {
      {"fuseai", R"({"merged": "all"})",
       "the authors' code: the selection (theirs is 0.1) changes weights alone, all entries are "
       "merged"},
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's sce: equal weights where the mean squares sum to less than 1e-6, as those of "
       "many fine-tunes do, and no division by less than 1e-6"}};
  double select_topk = 1.0;
  Merged merged = Merged::kSelected;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(select_topk, {.name = "select_topk",
                    .range = {0, 1},
                    .sweep = {0.1, 0.3, 0.5, 1.0},
                    .help = "share of the entries in which experts differ that is selected; below "
                            "1 nothing is where they are equal"});
    p(merged, {.name = "merged",
               .choices = {"selected", "all"},
               .help = "which entries of the task vectors are merged: those selected (the paper, "
                       "mergekit) or all (the authors' code)"});
    compute_parameter(compute, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (job.base.numel() == 0) return job.base;
    const std::vector<at::Tensor> deltas = whole_deltas(job, compute);
    const at::Tensor stacked = at::stack(deltas);
    at::Tensor chosen = stacked;
    if (select_topk < 1) chosen = stacked * selection(stacked);
    const std::vector<at::Tensor> weights = expert_shares(chosen).unbind();
    return in_arithmetic(job.base, compute) +
           weighted_majority((merged == Merged::kAll ? stacked : chosen).unbind(), weights);
  }

 private:
  at::Tensor selection(const at::Tensor& deltas) const;
  at::Tensor expert_shares(const at::Tensor& deltas) const;
  at::Tensor weighted_majority(const std::vector<at::Tensor>& deltas,
                               const std::vector<at::Tensor>& weights) const;
};

/// Which entries are selected.
at::Tensor Sce::selection(const at::Tensor& deltas) const {
  const OneThread one;
  const bool stored = compute == Compute::kStorage;
  const at::Tensor wide = stored ? deltas : deltas.to(at::kDouble);
  const at::Tensor variance = at::var(wide, at::OptionalIntArrayRef({0}), /*unbiased=*/false);
  const auto differ = variance.count_nonzero().item<int64_t>();
  // mergekit's product is a float's.
  const auto count =
      static_cast<int64_t>(stored ? static_cast<float>(differ) * static_cast<float>(select_topk)
                                  : static_cast<double>(differ) * select_topk);
  const at::Tensor flat = variance.reshape({1, -1});
  if (!stored || count == 0) return largest_of_rows(flat, count).reshape(variance.sizes());
  const at::Tensor places = std::get<1>(flat.topk(count, 1, /*largest=*/true));
  return at::zeros_like(flat, at::kBool).scatter_(1, places, true).reshape(variance.sizes());
}

/// The share of each expert in the energy.
at::Tensor Sce::expert_shares(const at::Tensor& deltas) const {
  constexpr double kLeastEnergy = 1e-6;
  const OneThread one;
  const bool stored = compute == Compute::kStorage;
  const at::Tensor wide = stored ? deltas : deltas.to(at::kDouble);
  const at::Tensor energy = wide.square().reshape({deltas.size(0), -1}).mean(1);
  const auto total = energy.sum().item<double>();
  if (stored ? total < kLeastEnergy : total == 0)
    return at::ones_like(energy) / static_cast<double>(energy.numel());
  return stored ? energy / total : (energy / total).to(at::kFloat);
}

/// The weighted mean of the entries that have the sign of their sum; plus where that is 0.
at::Tensor Sce::weighted_majority(const std::vector<at::Tensor>& deltas,
                                  const std::vector<at::Tensor>& weights) const {
  const at::Tensor sign = (sum_in_order(deltas) >= 0).to(at::kFloat) * 2 - 1;
  std::vector<at::Tensor> values, shares;
  for (size_t i = 0; i < deltas.size(); ++i) {
    const at::Tensor& share = shares.emplace_back(weights[i] * (deltas[i].sign() == sign));
    values.push_back(deltas[i] * share);
  }
  const at::Tensor divisor = sum_in_order(shares);
  if (compute == Compute::kStorage) return sum_in_order(values) / divisor.clamp_min(1e-6);
  return sum_in_order(values) / at::where(divisor == 0, at::ones_like(divisor), divisor);
}

ASSAY_METHOD(Sce)

}  // namespace
}  // namespace assay
