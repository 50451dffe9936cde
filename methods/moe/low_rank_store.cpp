#include "methods/moe/low_rank_store.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace assay {
namespace {

constexpr std::string_view kWhole = ".weight", kLeft = ".left.weight", kRight = ".right.weight",
                           kRest = ".rest.weight", kKept = ".kept";
constexpr std::array<std::string_view, 3> kOtherParts = {kRight, kRest, kKept};

/// NAME of NAME.weight, or of a part.
std::string without(const std::string& tensor, std::string_view end) {
  return tensor.substr(0, tensor.size() - end.size());
}
std::string with(const std::string& name, std::string_view end) {
  return fmt::format("{}{}", name, end);
}

}  // namespace

void plan_factors(const TensorInfo& matrix, int64_t rank, OutputPlan& plan) {
  const std::string name = without(matrix.name, kWhole);
  const int64_t out = matrix.shape.at(0), in = matrix.shape.at(1);
  const auto add = [&](std::string_view end, std::vector<int64_t> shape, bool open) {
    OutputTensor& part = plan.tensors.emplace_back();
    part.name = with(name, end);
    part.experts = {{.tensor = matrix.name}};
    part.shape = std::move(shape);
    part.open = open;
  };
  add(kLeft, {out, rank}, false);
  add(kRight, {rank, in}, false);
  add(kRest, {out, in}, true);
  add(kKept, {out}, true);
}

WholeMatrices::WholeMatrices(const ModelJob& job) : job_(job) {
  const std::vector<std::string>& names = job.names();
  const std::set<std::string> all(names.begin(), names.end());
  for (const std::string& name : names) {
    const bool part =
        std::any_of(kOtherParts.begin(), kOtherParts.end(), [&](std::string_view end) {
          return name.ends_with(end) && all.contains(with(without(name, end), kLeft));
        });
    if (name.ends_with(kLeft))
      planned_[with(without(name, kLeft), kWhole)] = name;
    else if (!part)
      planned_[name] = name;
  }
  for (const auto& [name, unused] : planned_) names_.push_back(name);
}

void WholeMatrices::for_each(const std::function<void(size_t index)>& body) const {
  for (size_t i = 0; i < names_.size(); ++i) body(i);
}

TensorJob WholeMatrices::tensor(const std::string& name) const {
  TensorJob own = job_.tensor(planned(name));
  own.name = name;
  return own;
}

void put_factors(const std::string& name, const SparseLowRank& matrix, StateDict& result) {
  const std::string own = without(name, kWhole);
  result[with(own, kLeft)] = matrix.left.detach();
  result[with(own, kRight)] = matrix.right.detach();
  const at::Tensor rest = matrix.rest.detach(), kept = (rest != 0).any(1);
  const at::Tensor rows = kept.nonzero().flatten();
  if (rows.numel() == 0) return;
  result[with(own, kRest)] = rest.index_select(0, rows);
  result[with(own, kKept)] = kept.to(rest.scalar_type());
}

Json config_of_factors(Json config, const StateDict& made) {
  Json& matrices = config["low_rank_experts"] = Json::object();
  for (const auto& [tensor, left] : made) {
    if (!tensor.ends_with(kLeft)) continue;
    const std::string name = without(tensor, kLeft);
    const auto rest = made.find(with(name, kRest));
    matrices[name] = {{"rank", left.size(1)},
                      {"rows", rest == made.end() ? 0 : rest->second.size(0)}};
  }
  return config;
}

}  // namespace assay
