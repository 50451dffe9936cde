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
///     bool randomized() const;                           // optional: where they decide that
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
/// A method that works on another has that one as a parameter (component.h). Where it changes what
/// another merges and no more, it is a modifier (modifier.h). Where it passes the work on, it
/// defines `Granularity granularity() const`, and then all of measure() (a std::any), merge(job,
/// std::any) and merge_model(): those that the granularity names are called.
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

}  // namespace assay

#include "harness/method/internal/method_adaptor.h"

/// Registers a method. At namespace scope, once per method.
#define ASSAY_METHOD(Type) ASSAY_REGISTER([] { ::assay::detail::register_method<Type>(); })
