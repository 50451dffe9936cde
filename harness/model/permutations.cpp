#include "harness/model/permutations.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <exception>
#include <map>
#include <tuple>

#include "harness/core/error.h"
#include "harness/model/forward.h"
#include "harness/model/internal/axis_rules.h"
#include "harness/model/layers_of.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

class Tracer;
thread_local Tracer* active_tracer = nullptr;

/// Sees the layers and the operators between them.
class Tracer final : public LayerObserver {
 public:
  explicit Tracer(const StateDict& weights) : weights_(weights) {
    for (const auto& [unused, weight] : weights)
      traced_.set(weight, traced_.units.add(weight.sizes(), /*fixed=*/false));
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(on_start, on_end)
                                             .needsInputs(true)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
    active_tracer = this;
  }
  ~Tracer() override {
    active_tracer = nullptr;
    at::removeCallback(handle_);
  }
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  bool shapes_only() const override { return true; }
  void layer(const LayerInput& /*input*/) override {}
  void output(const LayerInput& input, const at::Tensor& y) override {
    TensorAxes axes = traced_.axes(input.x);
    const TensorAxes weight = traced_.axes(weights_.at(input.weight));
    axes[input.kind == LayerKind::kLinear ? axes.size() - 1 : 1] =
        input.kind == LayerKind::kLinear ? linear(input, axes.back(), weight)
                                         : convolution(input, axes[1], weight);
    if (input.kind == LayerKind::kConvolution)
      for (const size_t dim : {2, 3}) {
        traced_.units.fix(axes[dim]);
        traced_.units.fix(weight[dim]);
        axes[dim] = traced_.units.add(y.size(static_cast<int64_t>(dim)), /*fixed=*/true);
      }
    traced_.set(y, std::move(axes));
  }
  void batch_norm(const std::string& name, const at::Tensor& x) override {
    const AxisFactors channels = traced_.axes(x)[1];
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      if (const auto found = weights_.find(name + part); found != weights_.end())
        traced_.units.join(channels, traced_.axes(found->second).front());
  }
  void embedding(const std::string& weight, const at::Tensor& vectors) override {
    const TensorAxes table = traced_.axes(weights_.at(weight));
    traced_.units.fix(table[0]);
    TensorAxes axes = traced_.units.add(vectors.sizes(), /*fixed=*/true);
    axes.back() = table[1];
    traced_.set(vectors, std::move(axes));
  }

  /// Ends the pass.
  std::vector<PermutationGroup> groups(const at::Tensor& scores) {
    if (error_) std::rethrow_exception(error_);
    traced_.units.fix(traced_.axes(scores));
    std::vector<std::pair<size_t, std::string>> used;
    for (const auto& [name, weight] : weights_)
      if (const auto use = traced_.first_use(weight)) used.emplace_back(*use, name);
    std::sort(used.begin(), used.end());
    std::vector<PermutationGroup> groups;
    std::map<size_t, size_t> places;  // of groups, by factor
    for (const auto& [unused, name] : used) add_axes(name, groups, places);
    std::erase_if(groups, [](const PermutationGroup& group) { return group.axes.size() < 2; });
    return groups;
  }

 private:
  struct Call : at::ObserverContext {
    bool inside = false;  ///< of an operator with a rule
    bool ruled = false;
    std::vector<c10::IValue> inputs;  ///< which the operator may move from
  };

  static std::string_view plain_name(std::string_view name) {
    if (const size_t colons = name.rfind("::"); colons != std::string_view::npos)
      name.remove_prefix(colons + 2);
    if (name.size() > 1 && name.ends_with('_')) name.remove_suffix(1);
    return name;
  }
  static std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& operation) {
    auto call = std::make_unique<Call>();
    if (!active_tracer) return call;
    call->inside = active_tracer->inside_ > 0;
    if (!call->inside) call->inputs.assign(operation.inputs().begin(), operation.inputs().end());
    call->ruled = axis_rule(plain_name(operation.name())) != nullptr;
    if (call->ruled) ++active_tracer->inside_;
    return call;
  }
  static void on_end(const at::RecordFunction& operation, at::ObserverContext* context) {
    const auto* call = static_cast<const Call*>(context);
    if (!active_tracer || !call) return;
    if (call->ruled) --active_tracer->inside_;
    if (call->inside || active_tracer->error_) return;
    try {
      active_tracer->run(operation, *call);
    } catch (...) {  // LibTorch would drop it
      active_tracer->error_ = std::current_exception();
    }
  }
  void run(const at::RecordFunction& operation, const Call& call) {
    const std::vector<c10::IValue>& outputs = operation.outputs();
    const TracedCall traced{call.inputs, outputs};
    const std::vector<at::Tensor> results = tensors_among(traced.outputs);
    if (results.empty()) return;
    if (call.ruled) return axis_rule(plain_name(operation.name()))(traced_, traced);
    // One that is made of others has had its outputs from them.
    const bool in_place = std::string_view(operation.name()).ends_with('_');
    const bool made_of_others = std::all_of(results.begin(), results.end(),
                                            [&](const auto& y) { return traced_.known(y); });
    if (in_place || !made_of_others) fix_all(traced_, traced);
  }

  AxisFactors linear(const LayerInput& input, const AxisFactors& x, const TensorAxes& weight) {
    traced_.units.join(x, weight[input.in_out ? 0 : 1]);
    return with_bias(input, weight[input.in_out ? 1 : 0]);
  }
  AxisFactors convolution(const LayerInput& input, const AxisFactors& x, const TensorAxes& weight) {
    const int64_t channels = input.x.size(1);
    const at::Tensor& stored = weights_.at(input.weight);
    if (stored.size(1) == channels) {
      traced_.units.join(x, weight[1]);
    } else if (stored.size(1) == 1 && stored.size(0) == channels) {  // depthwise
      traced_.units.join(x, weight[0]);
    } else {
      traced_.units.fix(x);
      traced_.units.fix(weight);
    }
    return with_bias(input, weight[0]);
  }
  AxisFactors with_bias(const LayerInput& input, const AxisFactors& outputs) {
    constexpr std::string_view kWeight = "weight";
    const std::string bias =
        input.weight.substr(0, input.weight.size() - kWeight.size()).append("bias");
    if (const auto found = weights_.find(bias); found != weights_.end())
      traced_.units.join(outputs, traced_.axes(found->second).front());
    return outputs;
  }

  void add_axes(const std::string& name, std::vector<PermutationGroup>& groups,
                std::map<size_t, size_t>& places) {
    const at::Tensor& weight = weights_.at(name);
    const TensorAxes axes = traced_.axes(weight);
    for (size_t dim = 0; dim < axes.size(); ++dim) {
      int64_t outer = 1;
      for (const size_t factor : traced_.units.resolve(axes[dim])) {
        const int64_t units = traced_.units.size(factor), before = outer;
        outer *= units;
        if (traced_.units.fixed(factor)) continue;
        const auto [place, is_new] = places.emplace(factor, groups.size());
        if (is_new) groups.push_back({.units = units, .stream = traced_.units.stream(factor)});
        groups[place->second].axes.push_back({name, static_cast<int64_t>(dim), before,
                                              weight.size(static_cast<int64_t>(dim)) / outer});
      }
    }
  }

  const StateDict& weights_;
  TracedTensors traced_;
  at::CallbackHandle handle_{};
  int inside_ = 0;
  std::exception_ptr error_;
};

}  // namespace

std::vector<PermutationGroup> permutations_of(const Architecture& architecture) {
  const c10::NoGradGuard no_gradients;
  const StateDict weights = weights_without_memory(architecture);
  Tracer tracer(weights);
  const at::Tensor scores = row_logits(architecture, weights, example_batch(architecture));
  return tracer.groups(scores);
}

std::vector<PermutationGroup> permutations_of(const Architecture& architecture,
                                              const std::vector<TensorInfo>& stored) {
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, std::string> stored_names;
  for (const TensorInfo& info : stored)
    stored_names.emplace(canonical_name(names, info.name), info.name);
  std::vector<PermutationGroup> groups = permutations_of(architecture);
  for (PermutationGroup& group : groups) {
    std::erase_if(group.axes,
                  [&](const UnitAxis& axis) { return !stored_names.contains(axis.tensor); });
    for (UnitAxis& axis : group.axes) axis.tensor = stored_names.at(axis.tensor);
  }
  std::erase_if(groups, [](const PermutationGroup& group) { return group.axes.size() < 2; });
  return groups;
}

}  // namespace assay
