#include <algorithm>

#include "harness/core/error.h"
#include "harness/merge/mergekit/yaml.h"

namespace assay {

const std::vector<MergekitMethod>& mergekit_methods() {
  using Kind = MergekitParameter::Kind;
  constexpr std::string_view kNoMask = "the votes' dtype changes memory, not results";
  constexpr std::string_view kNotTrimmed = "task_arithmetic trims nothing";
  const MergekitParameter weight{.name = "weight", .per_model = true};
  const MergekitParameter density{.name = "density", .per_model = true, .fallback = 1};
  const MergekitParameter lambda{.name = "lambda", .fallback = 1};
  const MergekitParameter mask{
      .name = "int8_mask", .kind = Kind::kFlag, .fallback = 0, .no_effect = kNoMask};
  const auto flag = [](std::string_view name, bool value) {
    return MergekitParameter{.name = name, .kind = Kind::kFlag, .fallback = value ? 1 : 0};
  };
  const auto without_effect = [](MergekitParameter parameter, std::string_view why) {
    parameter.no_effect = why;
    return parameter;
  };
  const std::vector<MergekitParameter> sparse{weight, density, lambda, mask};
  const auto with = [](std::vector<MergekitParameter> parameters,
                       const std::vector<MergekitParameter>& more) {
    parameters.insert(parameters.end(), more.begin(), more.end());
    return parameters;
  };
  const MergekitParameter gamma{.name = "gamma", .per_model = true, .fallback = 0.01};
  const MergekitParameter window{.name = "epsilon", .per_model = true, .fallback = 0.15};
  const MergekitParameter least_change{.name = "epsilon", .fallback = 1e-5};
  using Models = MergekitMethod::Models;
  static const std::vector<MergekitMethod> methods{
      {"linear", "linear@mergekit", Models::kList, {weight, flag("normalize", true)}},
      {"slerp", "slerp@mergekit", Models::kPair, {{.name = "t"}}},
      {"task_arithmetic",
       "task_arithmetic@mergekit",
       Models::kTaskVectors,
       {weight, without_effect(density, kNotTrimmed), lambda, flag("normalize", false),
        without_effect(flag("rescale", false), kNotTrimmed), mask}},
      {"ties",
       "ties@mergekit",
       Models::kTaskVectors,
       {weight, density, lambda, flag("normalize", true), flag("rescale", false), mask}},
      {"dare_linear",
       "dare@mergekit",
       Models::kTaskVectors,
       {weight, density, lambda, flag("normalize", false), flag("rescale", true), mask}},
      {"dare_ties",
       "dare_ties@mergekit",
       Models::kTaskVectors,
       {weight, density, lambda, flag("normalize", false), flag("rescale", true), mask}},
      {"breadcrumbs", "breadcrumbs@mergekit", Models::kTaskVectors,
       with(sparse, {gamma, flag("normalize", false), flag("rescale", false)})},
      {"breadcrumbs_ties", "breadcrumbs@mergekit_ties", Models::kTaskVectors,
       with(sparse, {gamma, flag("normalize", false), flag("rescale", false)})},
      {"della", "della@mergekit", Models::kTaskVectors,
       with(sparse, {window, flag("normalize", true), flag("rescale", true)})},
      {"della_linear", "della_linear@mergekit", Models::kTaskVectors,
       with(sparse, {window, flag("normalize", false), flag("rescale", true)})},
      {"sce", "sce@mergekit", Models::kTaskVectors, {{.name = "select_topk", .fallback = 1}, mask}},
      {"ram", "ram@mergekit", Models::kTaskVectors, {least_change}},
      {"ramplus_tl",
       "ram_plus@mergekit",
       Models::kTaskVectors,
       {{.name = "r", .fallback = 0.1}, {.name = "alpha", .fallback = 0.2}, least_change}},
      {"model_stock", "model_stock@mergekit", Models::kTaskVectors, {flag("filter_wise", false)}},
      {"nuslerp",
       "nuslerp@mergekit",
       Models::kTwo,
       {weight, flag("nuslerp_flatten", true), flag("nuslerp_row_wise", false)}},
      {"nearswap", "nearswap@mergekit", Models::kPair, {{.name = "t"}}},
      {"arcee_fusion", "arcee_fusion@mergekit", Models::kPair, {}},
      {"passthrough",
       "passthrough@mergekit",
       Models::kOne,
       {{.name = "scale", .per_model = true, .fallback = 1}}},
  };
  return methods;
}

const MergekitMethod& mergekit_method(std::string_view name) {
  const auto& methods = mergekit_methods();
  const auto it = std::find_if(methods.begin(), methods.end(),
                               [&](const MergekitMethod& method) { return method.name == name; });
  ASSAY_CHECK(it != methods.end(), "'{}'", name);
  return *it;
}

}  // namespace assay
