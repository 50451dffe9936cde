#include "methods/dense/reinforced_sum.h"

namespace assay {
namespace {

/// RAM: changes that one expert alone made are kept whole, those that several made are averaged.
struct Ram {
  static constexpr MethodInfo info{
      .name = "ram",
      .paper = "arXiv:2601.13572 §4",
      .summary = "the sum of task vectors, averaged where several experts changed an entry",
      .needs = {.base = true},
      .elementwise = true,
      .identity = R"({"epsilon": 0})",
      .flops = "(5 N + 1) d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's ram: each task vector is divided before they are added up"}};
  ReinforcedSum sum;

  void parameters(auto&& p) { sum.parameters(p); }
  at::Tensor merge(const TensorJob& part) const { return sum.merge(part, {}); }
};

ASSAY_METHOD(Ram)

}  // namespace
}  // namespace assay
