/// A method with parameters as a sweep or a merge gives them. Any parameter but a component may be
/// a table by layer group in place of its value:
///
///   "density": {"first": 0.2, "*.mlp.*": 0.3, "*": 0.5}
///
/// A key is a glob over the names of tensors; or "first", "middle" or "last", a third of the
/// transformer blocks; or "*", all other tensors. Of the keys that match a tensor, a glob counts
/// before a third, and "*" last; two globs with different values are an error. Tensors that no key
/// matches have the value that the parameter has without a table.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// One configuration of a method and the tensors it makes.
struct MethodGroup {
  std::unique_ptr<Method> method;
  std::vector<std::string> tensors;  ///< in name order; copied ones (integers) need not be in any
};

/// The index of the transformer block of each tensor that is in one, from the architecture. Block i
/// of n is in the third that (i + 1/2) / n lies in: of 4 blocks 1, 2 and 1, of 7 blocks 2, 3 and 2.
using BlockOfTensor = std::map<std::string, int64_t>;

class MethodConfiguration {
 public:
  /// `ref` and errors as make_method(); the error of a value in a table names the layer group.
  static MethodConfiguration read(const std::string& ref, const JsonReader& parameters);

  const MethodInfo& info() const { return variants_.front()->info(); }
  /// Every parameter, defaults included, tables with an entry for "*". read() takes it.
  const Json& parameters() const { return parameters_; }
  /// The parameters, with the values of "*" as defaults.
  std::vector<ParamDoc> docs() const { return configured_docs(*variants_.front()); }
  bool has_tables() const { return !tables_.empty(); }
  /// Of the method with any of the values in tables.
  Needs needs() const;
  std::vector<StatisticRef> statistics() const;
  bool randomized() const;

  /// The methods that make these tensors, which are in name order: one, or one for each combination
  /// of values in tables. UserError, naming parameter and group, for a group without a tensor and
  /// for a tensor in two groups; and where parameters of one tensor are in conflict.
  std::vector<MethodGroup> groups(const std::vector<std::string>& tensors,
                                  const BlockOfTensor& blocks) const;

 private:
  struct Table {
    std::vector<std::string> path;  ///< names of components, then of the parameter
    std::map<std::string, Json> values;
  };

  std::string where_;
  Json parameters_;
  Json rest_;  ///< the same with the values of "*"
  std::vector<Table> tables_;
  /// The method with `rest_`, then one for every other value in a table.
  std::vector<std::shared_ptr<const Method>> variants_;
};

/// UserError, naming `where`, when a layer group of these has none of the tensors.
void check_layer_groups(const std::vector<std::string>& groups,
                        const std::vector<std::string>& tensors, const BlockOfTensor& blocks,
                        const std::string& where);

/// Whether users' parameters give one by its path: "density", or "of.density" for a component's.
bool has_parameter(const Json& parameters, const std::string& path);
/// Sets one in users' parameters of the method `ref`. A parameter whose own name has the dots comes
/// before a component's. UserError, naming `where`, when a component is no method.
void set_parameter(const std::string& ref, Json& parameters, const std::string& path,
                   const Json& value, const std::string& where);

/// Users' parameters in which all names may be paths, as set_parameter() sets them.
Json with_paths(const std::string& ref, const Json& parameters, const std::string& where);

}  // namespace assay
