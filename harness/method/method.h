/// The one header that an author of a method includes. A method is a plain struct:
///
///   struct Ties {
///     static constexpr MethodInfo info{.name = "ties", ...};           // info.h
///     static constexpr Preset presets[] = {...};         // optional: published configurations
///     static constexpr std::string_view search = "{...}";  // optional: MethodEntry::search
///     double density = 0.2;                              // initialisers are the defaults
///     void parameters(auto&& p) { p(density, {.name = "density", .range = {0, 1}, ...}); }
///     std::optional<std::string> conflict() const;       // optional: exclusive parameters
///     Needs needs() const;                               // optional: where parameters decide them
///     std::vector<StatisticRef> statistics() const;      // optional: of every expert's data
///     void prepare(const ModelJob& job);                 // optional: statistics of all tensors
///     Trims measure(const TensorParts& tensor) const;    // optional: statistics of one tensor
///     at::Tensor merge(const TensorJob& part, const Trims& trims) const;
///   };
///   ASSAY_METHOD(Ties)
///
/// The functions that it defines decide its granularity:
///   kParts     merge(part, measure(tensor)), or merge(part) with MethodInfo::elementwise: parts of
///              kPartElements, so that models of any size fit in memory. Preferred.
///   kTensors   merge(tensor) without elementwise: whole tensors in their shape, one at a time.
///   kModel     StateDict merge_model(const ModelJob&) const: the whole models.
///
/// A method that makes a model for each expert's tasks declares the output kModelPerTask. It also
/// defines `at::Tensor merge_for(part, measured, expert) const` (or `merge_for(part, expert)` where
/// merge() takes no measured values), and `int64_t task_bytes(const std::vector<TensorInfo>&)
/// const`, what such a task model of these tensors adds to the bytes of the shared part. merge()
/// then makes the shared part, which held-out tasks are scored with.
///
/// A method that modifies another has that one as a parameter (component.h). Where it passes the
/// work on, it defines `Granularity granularity() const`, and then all of measure() (a std::any),
/// merge(job, std::any) and merge_model(): those that the granularity names are called.
///
/// A method that gives a model of another shape defines `OutputPlan plan(const PlanInputs&) const`
/// (output_plan.h), and says so in needs.output. The functions above then see the output's tensors,
/// those that are made of the same models at a time.
///
/// `merge` returns as many values as it got, in float32 or the storage dtype (or part.result(),
/// filled); the engine rounds to the output dtype. `merge` and `measure` are pure: they are called
/// on any device, in any order of tensors and for several tensors concurrently. A method whose
/// measure() holds much of a tensor says so in `int64_t working_bytes(const TensorInfo&) const`,
/// and keeps to TensorParts::memory(). See docs/adding-a-method.md.
#pragma once

#include <any>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>

#include "harness/checkpoint/tensors.h"
#include "harness/core/parameters.h"
#include "harness/core/registry.h"
#include "harness/method/component.h"
#include "harness/method/evidence.h"
#include "harness/method/info.h"
#include "harness/method/job.h"
#include "harness/method/output_plan.h"

namespace assay {

/// How much of the models a method is given at a time.
enum class Granularity { kParts, kTensors, kModel };

/// A method with its parameters set, as the engine calls it. ASSAY_METHOD makes one of an author's
/// struct.
class Method {
 public:
  virtual ~Method() = default;
  virtual const MethodInfo& info() const = 0;
  /// What this configuration requires: info().needs, unless the parameters decide it. A method that
  /// lists statistics needs calibration inputs.
  virtual Needs needs() const { return info().needs; }
  /// Whether the result depends on the seed.
  virtual bool randomized() const { return info().randomized; }
  /// The statistics of every expert that merging reads (Evidence::statistic()).
  virtual std::vector<StatisticRef> statistics() const { return {}; }
  /// Every parameter, defaults included.
  virtual Json parameters() const = 0;
  virtual Granularity granularity() const = 0;
  /// Bytes that it holds of a tensor at once, besides parts; in a scratch file where they do not
  /// fit in WorkingMemory. Granularity::kParts only.
  virtual int64_t working_bytes(const TensorInfo& tensor) const = 0;
  /// Why its parameters, each of them allowed, cannot be used together; absent when they can.
  virtual std::optional<std::string> conflict() const { return std::nullopt; }
  /// The result's tensors and config where they are not the reference's; absent: they are.
  virtual std::optional<OutputPlan> plan(const PlanInputs& /*models*/) const {
    return std::nullopt;
  }
  /// Called before the functions below: once, or with a plan() for the tensors of each combination
  /// of models.
  virtual void prepare(const ModelJob& job) = 0;
  /// Statistics of a tensor that merge() needs; empty where it needs none. Granularity::kParts
  /// only.
  virtual std::any measure(const TensorParts& tensor) const = 0;
  /// Merges a part (Granularity::kParts), or a whole tensor (Granularity::kTensors; `measured` is
  /// then empty).
  virtual at::Tensor merge(const TensorJob& job, const std::any& measured) const = 0;
  /// Granularity::kModel only.
  virtual StateDict merge_model(const ModelJob& job) const = 0;
  /// Whether merge_for() makes a task model for each expert's tasks.
  virtual bool has_task_outputs() const { return false; }
  /// merge() for the tasks of one expert. Not for Granularity::kModel.
  virtual at::Tensor merge_for(const TensorJob& job, const std::any& measured, size_t expert) const;
  /// Bytes that a task model of these tensors, the merged ones, takes beyond the shared part.
  virtual int64_t task_bytes(const std::vector<TensorInfo>& /*tensors*/) const { return 0; }
};

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

/// A registered method.
struct MethodEntry {
  MethodInfo info;
  /// Read when asked for: components name other methods, which may register later.
  std::function<std::vector<ParamDoc>()> parameters;
  std::vector<Preset> presets;
  std::function<std::unique_ptr<Method>(const JsonReader& parameters)> make;
  /// How a sweep chooses the parameters of rows that do not say so: JSON, as "search" in a sweep
  /// file (docs/sweep-files.md). Empty: such rows are not tuned.
  std::string_view search{};
};

Registry<MethodEntry>& methods();

/// A method as users name it: "ties" or "ties@mergekit".
struct MethodRef {
  std::string name;
  std::string preset;  ///< empty without one
};
MethodRef parse_method_ref(const std::string& text);

/// Makes the method named by `ref` ("NAME" or "NAME@PRESET"); `parameters` override the preset's.
/// UserError on unknown names and on parameters that are unknown, of wrong type, out of range or in
/// conflict.
std::unique_ptr<Method> make_method(const std::string& ref, const JsonReader& parameters);
/// What is read then: the preset's parameters, with those given in their place.
Json preset_with(const std::string& ref, const JsonReader& given);
/// make_method(), but parameters may be in conflict.
std::unique_ptr<Method> configure_method(const std::string& ref, const JsonReader& parameters);

namespace detail {

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
    bool randomized = T::info.randomized;
    for_each_component(
        [&](const Method& component, std::string_view) { randomized |= component.randomized(); });
    return randomized;
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
    if constexpr (WholeModelMethod<T>)
      return method_.merge_model(job);
    else
      ASSAY_CHECK(false, "{} merges tensor by tensor", T::info.name);
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
bool register_method() {
  MethodEntry entry{T::info, describe_parameters<T>, {}, [](const JsonReader& parameters) {
                      return std::make_unique<MethodAdaptor<T>>(parameters);
                    }};
  if constexpr (requires { T::presets; })
    entry.presets.assign(std::begin(T::presets), std::end(T::presets));
  if constexpr (requires { T::search; }) entry.search = T::search;
  return methods().add(std::string(T::info.name), std::move(entry));
}

}  // namespace detail
}  // namespace assay

/// Registers a method. At namespace scope, once per method.
#define ASSAY_METHOD(Type) \
  [[maybe_unused]] static const bool assay_registered = ::assay::detail::register_method<Type>();
