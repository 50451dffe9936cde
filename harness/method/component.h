/// A parameter that is another method, with parameters of its own:
///
///   MethodComponent of{"task_arithmetic"};                      // the default
///   void parameters(auto&& p) { p(of, {.name = "of", .help = "the method to modify"}); }
///
/// In JSON it is a name, "ties@mergekit", or an object: {"method": "ties", "density": 0.3}; without
/// "method" these are parameters of the default. What it needs, its statistics, its conflicts and
/// whether it draws random numbers count as those of the method that holds it, unless that one
/// defines needs() or statistics() itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/parameters.h"
#include "harness/method/info.h"

namespace assay {

class Method;

/// Copies share the method: a configuration is read into a component of its own.
class MethodComponent {
 public:
  static constexpr std::string_view kType = "method";

  /// `ref`: the default, as in make_method().
  explicit MethodComponent(std::string ref);

  const Method& operator*() const { return *method_; }
  const Method* operator->() const { return method_.get(); }
  Method* operator->() { return method_.get(); }

  /// UserError as make_method(), but for conflicts: the method that holds this one reports them.
  void read(const JsonReader& json);
  /// {"method", every parameter, "version"}: read() takes it, as long as the version is the same.
  Json to_json() const;
  /// The method's parameters.
  std::vector<ParamDoc> describe() const;

 private:
  std::string ref_;  ///< the default
  std::shared_ptr<Method> method_;
};

/// The parameters of a method, with the values that it has as their defaults.
std::vector<ParamDoc> configured_docs(const Method& method);

/// The stored parameters that differ from the defaults of `docs`, those of components under dotted
/// names.
Json changed_parameters(const std::vector<ParamDoc>& docs, const Json& parameters);

/// What two methods need that are applied to the same models. The result has the form that either
/// gives, if not that of the inputs.
Needs unite(const Needs& one, const Needs& other);

}  // namespace assay
