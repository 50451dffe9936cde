/// Makes a Method of an author's struct: which of its functions there are is decided here, once.
#pragma once

#include <any>
#include <concepts>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/method/method.h"
#include "harness/method/running_moments.h"

namespace assay::detail {

template <typename T>
concept MeasuringMethod = requires(const T t, const TensorJob& job, const TensorParts& tensor) {
  { t.merge(job, t.measure(tensor)) } -> std::same_as<at::Tensor>;
};
template <typename T>
concept StreamingMethod = requires(const T t, const TensorJob& job) {
  { t.merge(job) } -> std::same_as<at::Tensor>;
};
template <typename T>
concept WholeModelMethod = requires(const T t, const ModelJob& job) {
  { t.merge_model(job) } -> std::same_as<StateDict>;
};

template <typename T>
concept PassingMethod = requires(const T t, const TensorJob& job, const std::any& measured) {
  { t.granularity() } -> std::same_as<Granularity>;
  { t.merge(job, measured) } -> std::same_as<at::Tensor>;
};

template <typename T>
concept MeasuringTaskMethod = requires(const T t, const TensorJob& job, const TensorParts& tensor) {
  { t.merge_for(job, t.measure(tensor), size_t{}) } -> std::same_as<at::Tensor>;
};
template <typename T>
concept StreamingTaskMethod = requires(const T t, const TensorJob& job) {
  { t.merge_for(job, size_t{}) } -> std::same_as<at::Tensor>;
};

template <typename T>
concept ReshapingMethod = requires(const T t, const PlanInputs& models) {
  { t.plan(models) } -> std::convertible_to<std::optional<OutputPlan>>;
};
template <typename T>
inline constexpr bool kHasTaskOutputs = MeasuringTaskMethod<T> || StreamingTaskMethod<T>;

template <typename T>
class MethodAdaptor final : public Method {
  static_assert(PassingMethod<T> ||
                    MeasuringMethod<T> + StreamingMethod<T> + WholeModelMethod<T> == 1,
                "a method defines one of merge(TensorJob), merge(TensorJob, "
                "measure(TensorParts)) and merge_model(ModelJob)");
  static_assert(ReshapingMethod<T> || T::info.needs.output == Output::kSameArchitecture ||
                    T::info.needs.output == Output::kModelPerTask ||
                    T::info.needs.output == Output::kEnsemble,
                "a method that gives a model of another shape defines plan(PlanInputs)");
  static_assert(kHasTaskOutputs<T> == (T::info.needs.output == Output::kModelPerTask),
                "a method defines merge_for() if, and only if, its output is kModelPerTask");
  static_assert(
      kHasTaskOutputs<T> ==
          requires(const T t, const std::vector<TensorInfo>& tensors) {
            { t.task_bytes(tensors) } -> std::same_as<int64_t>;
          },
      "merge_for() and task_bytes() go together");
  static_assert(!kHasTaskOutputs<T> ||
                    (!WholeModelMethod<T> && MeasuringTaskMethod<T> == MeasuringMethod<T>),
                "merge_for() takes what merge() takes, and the expert");

 public:
  explicit MethodAdaptor(const JsonReader& parameters) { assign_parameters(method_, parameters); }
  const MethodInfo& info() const override { return T::info; }
  Needs needs() const override {
    Needs needs = T::info.needs;
    if constexpr (requires { method_.needs(); })
      needs = method_.needs();
    else
      for_each_component([&](const Method& component, std::string_view) {
        needs = unite(needs, component.needs());
      });
    if (!statistics().empty()) needs.calibration_inputs = true;
    return needs;
  }
  std::vector<StatisticRef> statistics() const override {
    std::vector<StatisticRef> statistics;
    if constexpr (requires { method_.statistics(); })
      statistics = method_.statistics();
    else
      for_each_component([&](const Method& component, std::string_view) {
        for (StatisticRef& one : component.statistics()) statistics.push_back(std::move(one));
      });
    return statistics;
  }
  bool randomized() const override {
    if constexpr (requires { method_.randomized(); }) {
      return method_.randomized();
    } else {
      bool randomized = T::info.randomized;
      for_each_component(
          [&](const Method& component, std::string_view) { randomized |= component.randomized(); });
      return randomized;
    }
  }
  Json parameters() const override { return parameters_to_json(method_); }
  Granularity granularity() const override {
    if constexpr (PassingMethod<T>) return method_.granularity();
    if constexpr (WholeModelMethod<T>) return Granularity::kModel;
    return MeasuringMethod<T> || T::info.elementwise ? Granularity::kParts : Granularity::kTensors;
  }
  int64_t working_bytes(const TensorInfo& tensor) const override {
    if constexpr (requires { method_.working_bytes(tensor); })
      return method_.working_bytes(tensor);
    else
      return 0;
  }
  std::optional<std::string> conflict() const override {
    std::optional<std::string> conflict;
    if constexpr (requires { method_.conflict(); }) conflict = method_.conflict();
    for_each_component([&](const Method& component, std::string_view name) {
      if (const auto inner = component.conflict(); inner && !conflict)
        conflict = fmt::format("{}: {}", name, *inner);
    });
    return conflict;
  }
  std::optional<OutputPlan> plan(const PlanInputs& models) const override {
    if constexpr (ReshapingMethod<T>)
      return method_.plan(models);
    else
      return std::nullopt;
  }
  void prepare(const ModelJob& job) override {
    if constexpr (requires { method_.prepare(job); }) method_.prepare(job);
  }
  std::any measure(const TensorParts& tensor) const override {
    if constexpr (MeasuringMethod<T>)
      return method_.measure(tensor);
    else
      return {};
  }
  at::Tensor merge(const TensorJob& job, const std::any& measured) const override {
    if (!T::info.own_moments && is_running_moment(job.name)) return mean_moments(job);
    if constexpr (PassingMethod<T>)
      return method_.merge(job, measured);
    else if constexpr (MeasuringMethod<T>)
      return method_.merge(
          job,
          *std::any_cast<decltype(method_.measure(std::declval<const TensorParts&>()))>(&measured));
    else if constexpr (StreamingMethod<T>)
      return method_.merge(job);
    else
      ASSAY_CHECK(false, "{} merges whole models", T::info.name);
  }
  StateDict merge_model(const ModelJob& job) const override {
    if constexpr (WholeModelMethod<T>) {
      StateDict merged = method_.merge_model(job);
      if (!T::info.own_moments)
        for (auto& [name, tensor] : merged)
          if (is_running_moment(name)) tensor = mean_moments(job.tensor(name));
      return merged;
    } else {
      ASSAY_CHECK(false, "{} merges tensor by tensor", T::info.name);
    }
  }

  bool has_task_outputs() const override { return kHasTaskOutputs<T>; }
  at::Tensor merge_for(const TensorJob& job, const std::any& measured,
                       size_t expert) const override {
    if constexpr (MeasuringTaskMethod<T>)
      return method_.merge_for(
          job,
          *std::any_cast<decltype(method_.measure(std::declval<const TensorParts&>()))>(&measured),
          expert);
    else if constexpr (StreamingTaskMethod<T>)
      return method_.merge_for(job, expert);
    else
      return Method::merge_for(job, measured, expert);
  }
  int64_t task_bytes(const std::vector<TensorInfo>& tensors) const override {
    if constexpr (kHasTaskOutputs<T>)
      return method_.task_bytes(tensors);
    else
      return 0;
  }

 private:
  template <typename Visit>
  void for_each_component(const Visit& visit) const {
    T copy = method_;
    visit_parameters(copy, [&]<typename Field>(Field& field, const ParamSpec& spec) {
      if constexpr (std::is_same_v<Field, MethodComponent>) visit(std::as_const(*field), spec.name);
    });
  }

  T method_;
};

template <typename T>
void register_method() {
  MethodEntry entry{T::info, describe_parameters<T>, {}, [](const JsonReader& parameters) {
                      return std::make_unique<MethodAdaptor<T>>(parameters);
                    }};
  if constexpr (requires { T::presets; })
    entry.presets.assign(std::begin(T::presets), std::end(T::presets));
  if constexpr (requires { T::search; }) entry.search = T::search;
  methods().add(std::string(T::info.name), std::move(entry));
}

}  // namespace assay::detail
