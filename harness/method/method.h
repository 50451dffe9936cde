/// The one header a method author includes. A method is a plain struct:
///
///   struct Ties {
///     static constexpr MethodInfo info{.name = "ties", ...};
///     double density = 0.2;  // the initialisers are the defaults
///     void parameters(auto&& p) { p(density, {.name = "density", .range = {0, 1}, ...}); }
///     void prepare(const ModelJob& job);  // optional: for what merge() needs of all tensors
///     at::Tensor merge(const TensorJob& job) const;
///   };
///   ASSAY_METHOD(Ties)
///
/// `merge` is called once per tensor, in any order, on any device; it is pure and returns a tensor
/// of the job's shape in float32 (or the storage dtype), which the engine casts to the output
/// dtype. A method that cannot stream defines `StateDict merge_model(const ModelJob&) const`
/// instead. Optional: `static constexpr Preset presets[]`.
#pragma once

#include <concepts>
#include <functional>
#include <memory>

#include "harness/checkpoint/tensors.h"
#include "harness/core/registry.h"
#include "harness/method/info.h"
#include "harness/method/job.h"
#include "harness/method/parameters.h"

namespace assay {

/// A method with its parameters set.
class Method {
 public:
  virtual ~Method() = default;
  virtual const MethodInfo& info() const = 0;
  /// Every parameter, defaults included.
  virtual Json parameters() const = 0;
  /// True: merge() per tensor, after prepare(). False: merge_model().
  virtual bool streams() const = 0;
  virtual void prepare(const ModelJob& job) = 0;
  virtual at::Tensor merge(const TensorJob& job) const = 0;
  virtual StateDict merge_model(const ModelJob& job) const = 0;
};

template <typename T>
concept StreamingMethod = requires(const T t, const TensorJob& job) {
  { t.merge(job) } -> std::same_as<at::Tensor>;
};
template <typename T>
concept WholeModelMethod = requires(const T t, const ModelJob& job) {
  { t.merge_model(job) } -> std::same_as<StateDict>;
};

/// What the registry holds of a method.
struct MethodEntry {
  MethodInfo info;
  std::vector<ParamDoc> parameters;
  std::vector<Preset> presets;
  std::function<std::unique_ptr<Method>(const JsonReader& parameters)> make;
};

Registry<MethodEntry>& methods();

/// A method as users name it: "ties" or "ties@mergekit".
struct MethodRef {
  std::string name;
  std::string preset;  ///< empty without one
};
MethodRef parse_method_ref(const std::string& text);

/// Makes the method named by `ref` ("NAME" or "NAME@PRESET"); `parameters` override the preset's.
/// UserError on unknown names and on parameters that are unknown, of wrong type or out of range.
std::unique_ptr<Method> make_method(const std::string& ref, const JsonReader& parameters);

namespace detail {

template <typename T>
class MethodAdaptor final : public Method {
  static_assert(StreamingMethod<T> != WholeModelMethod<T>,
                "a method defines either merge(TensorJob) or merge_model(ModelJob)");

 public:
  explicit MethodAdaptor(const JsonReader& parameters) { assign_parameters(method_, parameters); }
  const MethodInfo& info() const override { return T::info; }
  Json parameters() const override { return parameters_to_json(method_); }
  bool streams() const override { return StreamingMethod<T>; }
  void prepare(const ModelJob& job) override {
    if constexpr (requires { method_.prepare(job); }) method_.prepare(job);
  }
  at::Tensor merge(const TensorJob& job) const override {
    if constexpr (StreamingMethod<T>)
      return method_.merge(job);
    else
      ASSAY_CHECK(false, "{} does not stream", T::info.name);
  }
  StateDict merge_model(const ModelJob& job) const override {
    if constexpr (WholeModelMethod<T>)
      return method_.merge_model(job);
    else
      ASSAY_CHECK(false, "{} streams", T::info.name);
  }

 private:
  T method_;
};

template <typename T>
bool register_method() {
  MethodEntry entry{T::info, describe_parameters<T>(), {}, [](const JsonReader& parameters) {
                      return std::make_unique<MethodAdaptor<T>>(parameters);
                    }};
  if constexpr (requires { T::presets; })
    entry.presets.assign(std::begin(T::presets), std::end(T::presets));
  return methods().add(std::string(T::info.name), std::move(entry));
}

}  // namespace detail
}  // namespace assay

#define ASSAY_METHOD(Type) \
  [[maybe_unused]] static const bool assay_registered = ::assay::detail::register_method<Type>();
