#include "methods/moe/mixture_gates.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/error.h"
#include "harness/method/some_tensors.h"
#include "methods/moe/mixture_form.h"

namespace assay {
namespace {

/// The gates of the job's blocks, in the blocks' order.
std::vector<std::string> gates_of(const ModelJob& job, MixtureTensor::Kind kind) {
  std::vector<std::string> gates;
  for (const std::string& name : job.names())
    if (mixture_tensor(name).kind == kind) gates.push_back(name);
  // "layers.2." before "layers.10.".
  std::sort(gates.begin(), gates.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  });
  return gates;
}

}  // namespace

std::map<std::string, at::Tensor> mixture_gates(const ModelJob& job, const Router& router) {
  using Kind = MixtureTensor::Kind;
  const std::vector<std::string> gates = gates_of(job, Kind::kGate),
                                 shared = gates_of(job, Kind::kSharedGate);
  if (gates.empty()) return {};
  const SomeTensors seen(
      job,
      [](const std::string& name) {
        const Kind kind = mixture_tensor(name).kind;
        return kind == Kind::kRest || kind == Kind::kGate;
      },
      /*network=*/true);
  RouterJob routed{seen, gates};
  const at::Tensor rows = job.tensor(gates.front()).experts.front();
  const int64_t experts = rows.size(0), extra = shared.empty() ? 0 : 1;
  routed.experts = static_cast<size_t>(experts / router.rows_per_expert() + extra);
  routed.width = rows.size(1);
  const std::vector<at::Tensor> made = router.gates(routed);
  const std::vector<int64_t> wanted{experts + extra, routed.width};
  std::map<std::string, at::Tensor> result;
  for (size_t i = 0; i < gates.size(); ++i) {
    if (i >= made.size() || !made[i].defined() || made[i].sizes() != at::IntArrayRef(wanted))
      data_error("the router {} made no gate of shape {} for '{}'", router.info().name,
                 shape_text(wanted), gates[i]);
    const at::Tensor gate = made[i].to(rows.device(), at::kFloat);
    result[gates[i]] = gate.narrow(0, 0, experts).contiguous();
    if (extra > 0) result[shared[i]] = gate.narrow(0, experts, 1).contiguous();
  }
  return result;
}

}  // namespace assay
