/// A modifier changes what another method merges: the experts' task vectors before it, or its
/// result after it. A modifier is a plain struct, declared like a method (method.h):
///
///   struct Trim {
///     static constexpr MethodInfo info{.name = "trim", ...};  // of what the modifier needs
///     double density = 0.2;
///     void parameters(auto&& p) { p(density, {.name = "density", ...}); }
///     void prepare(const ModelJob& job);                      // optional: sees unmodified experts
///     Threshold measure(const TensorParts& tensor) const;     // optional: of unmodified experts
///     // At least one of these; each without `threshold` where there is no measure():
///     std::vector<at::Tensor> experts(const TensorJob& part, const Threshold& threshold) const;
///     at::Tensor finish(const TensorJob& part, at::Tensor merged, const Threshold&) const;
///   };
///   ASSAY_MODIFIER(Trim)
///
/// It becomes a method that has one more parameter, `of`: the method that merges, which may be a
/// modifier itself: {"method": "trim", "density": 0.2, "of": {"method": "lines", "of": "ties"}}.
/// Steps go from the outermost to the innermost before the merge, and back after it.
///
/// experts() gives the experts of a part (same shapes, any floating dtype) as the inner method is
/// to see them; those that do not change may be passed on. finish() gets the merged values in the
/// dtype that the inner method gave and returns as many, in float32 or the storage dtype. Both are
/// pure, like merge().
#pragma once

#include <algorithm>

#include "harness/method/internal/modified_job.h"
#include "harness/method/method.h"

namespace assay {
namespace detail {

template <typename M>
concept MeasuringModifier = requires(const M m, const TensorParts& tensor) {
  m.measure(tensor);
};

/// The method that a modifier makes of the one in its parameter `of`.
template <typename M>
class ModifiedMethod : public M {
  struct Nothing {};
  template <typename T>
  struct MeasureOf {
    using type = Nothing;
  };
  template <MeasuringModifier T>
  struct MeasureOf<T> {
    using type = decltype(std::declval<const T&>().measure(std::declval<const TensorParts&>()));
  };
  /// What the modifier measures of a tensor.
  using Own = typename MeasureOf<M>::type;
  /// That, and what the inner method does.
  struct Measured {
    Own own;
    std::any inner;
  };

  static constexpr bool kPlain = std::is_same_v<Own, Nothing>;
  static constexpr bool kGivesExperts = requires(const M m, const TensorJob& part, const Own& own) {
    m.experts(part, own);
  }
  || requires(const M m, const TensorJob& part) { m.experts(part); };
  static constexpr bool kFinishes =
      requires(const M m, const TensorJob& part, const at::Tensor& merged, const Own& own) {
    m.finish(part, merged, own);
  }
  || requires(const M m, const TensorJob& part, const at::Tensor& merged) {
    m.finish(part, merged);
  };
  static_assert(kGivesExperts || kFinishes, "a modifier defines experts(), finish() or both");

 public:
  // No aggregate: of one with bases g++ 12 takes members for uninitialised.
  ModifiedMethod() = default;

  MethodComponent of{"task_arithmetic"};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that is modified; it merges task vectors"});
    visit_parameters(static_cast<M&>(*this), p);
  }
  Needs needs() const {
    if constexpr (requires(const M m) { m.needs(); })
      return unite(M::needs(), of->needs());
    else
      return unite(M::info.needs, of->needs());
  }
  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = of->statistics();
    if constexpr (requires(const M m) { m.statistics(); })
      for (StatisticRef& one : M::statistics()) all.push_back(std::move(one));
    return all;
  }
  std::optional<std::string> conflict() const {
    if constexpr (requires(const M m) { m.conflict(); })
      if (auto own = M::conflict()) return own;
    if (of->needs().base) return std::nullopt;
    return fmt::format(
        "parameter 'of' is {}, which merges no task vectors: expected a method that needs a base",
        of->info().name);
  }
  Granularity granularity() const { return of->granularity(); }
  int64_t working_bytes(const TensorInfo& tensor) const {
    int64_t bytes = of->working_bytes(tensor);
    if constexpr (requires(const M m) { m.working_bytes(tensor); })
      bytes = std::max(bytes, M::working_bytes(tensor));
    return bytes;
  }

  void prepare(const ModelJob& job) {
    if constexpr (requires(M m) { m.prepare(job); }) M::prepare(job);
    of->prepare(modified(job));
  }
  std::any measure(const TensorParts& tensor) const {
    Measured measured{own(tensor), {}};
    measured.inner = of->measure(modified_parts(tensor, modify(measured.own), !kFinishes));
    return measured;
  }
  at::Tensor merge(const TensorJob& part, const std::any& measured) const {
    // Whole tensors are not measured before.
    if (!measured.has_value()) return merge_modified(part, {own(parts_of(part)), {}});
    return merge_modified(part, *std::any_cast<Measured>(&measured));
  }
  StateDict merge_model(const ModelJob& job) const {
    StateDict merged = of->merge_model(modified(job));
    if constexpr (kFinishes)
      for (auto& [name, tensor] : merged)
        tensor = finish(job.tensor(name), tensor, own(job.parts(name)));
    return merged;
  }

 private:
  Own own(const TensorParts& tensor) const {
    if constexpr (kPlain)
      return {};
    else
      return M::measure(tensor);
  }
  ModifyPart modify(const Own& own) const {
    return [this, own](const TensorJob& part) -> std::vector<at::Tensor> {
      if constexpr (!kGivesExperts)
        return part.experts;
      else if constexpr (kPlain)
        return M::experts(part);
      else
        return M::experts(part, own);
    };
  }
  at::Tensor finish(const TensorJob& part, const at::Tensor& merged, const Own& own) const {
    if constexpr (!kFinishes)
      return merged;
    else if constexpr (kPlain)
      return M::finish(part, merged);
    else
      return M::finish(part, merged, own);
  }
  at::Tensor merge_modified(const TensorJob& part, const Measured& measured) const {
    const TensorJob inner = modified_part(part, modify(measured.own), !kFinishes);
    return finish(part, of->merge(inner, measured.inner), measured.own);
  }
  ModifiedJob modified(const ModelJob& job) const {
    return {job, [this, &job](const std::string& tensor) { return modify(own(job.parts(tensor))); },
            !kFinishes};
  }
};

}  // namespace detail
}  // namespace assay

/// Registers a modifier, as a method. At namespace scope, once per modifier.
#define ASSAY_MODIFIER(Type) ASSAY_METHOD(::assay::detail::ModifiedMethod<Type>)
