/// mergekit's merge configurations: the YAML's content as plain data. Opens no model.
///
///   merge_method: ties
///   base_model: base
///   models:
///     - {model: a, parameters: {weight: 1, density: [0.4, 0.1]}}
///     - {model: b, parameters: {weight: [{filter: mlp, value: 0.5}, {value: 1}]}}
///   parameters: {normalize: true}
///   dtype: bfloat16
///
/// or, in place of `models`, a list of `slices`, each with `sources` that have a `layer_range`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// A value over the depth of a model: one entry is a constant, more are spread evenly over it.
/// Flags are 0 and 1.
struct MergekitValue {
  std::string filter;  ///< part of a tensor's name; empty: every tensor
  std::vector<double> points;

  /// Piecewise linear between the points; `t` runs from 0, the first layer, to 1, the last.
  double at(double t) const;
};

/// What a file says of one parameter in one place.
struct MergekitSetting {
  int line = 0;
  std::vector<MergekitValue> values;  ///< the first whose filter matches counts

  /// Absent when no filter matches.
  std::optional<double> find(const std::string& tensor, double t) const;
};
using MergekitSettings = std::map<std::string, MergekitSetting, std::less<>>;

/// Layers [first, last).
struct MergekitLayers {
  int64_t first = 0, last = 0;
};

struct MergekitModel {
  std::string model;  ///< as written; see find_model()
  int line = 0;
  MergekitSettings parameters;
  MergekitLayers layers{};  ///< of a source of a slice
};

/// Some layers of the result.
struct MergekitSlice {
  int line = 0;
  std::vector<MergekitModel> sources;       ///< at least one
  std::optional<MergekitModel> base_model;  ///< in place of the configuration's
  MergekitSettings parameters;
};

struct MergekitConfig {
  std::string where;  ///< the file, for messages
  std::string method;
  int method_line = 0;
  /// Models or slices, at least one, in the order of the file; the other is empty.
  std::vector<MergekitModel> models;
  std::vector<MergekitSlice> slices;
  std::optional<MergekitModel> base_model;      ///< without parameters
  MergekitSettings parameters;                  ///< of the top level
  std::optional<std::string> dtype, out_dtype;  ///< "float32", "float16" or "bfloat16"
  std::vector<std::string> notes;               ///< keys without effect, a line each
};

/// A parameter of one of mergekit's methods.
struct MergekitParameter {
  enum class Kind { kNumber, kFlag };

  std::string_view name;
  Kind kind = Kind::kNumber;
  bool per_model = false;            ///< may be set for one model, else only at the top level
  std::optional<double> fallback{};  ///< absent: the file must give it
  std::string_view no_effect{};      ///< why it changes nothing; empty when it does
};

/// One of mergekit's methods that Assay reads.
struct MergekitMethod {
  enum class Models {
    kList,         ///< those listed; the base only when it is listed
    kTaskVectors,  ///< the base, and those listed in addition
    kPair,         ///< the base and one other
    kTwo,          ///< two; with a base, which is none of them, their task vectors
    kOne
  };

  std::string_view name;
  std::string_view preset;  ///< what it becomes: "ties@mergekit"
  Models models;
  std::vector<MergekitParameter> parameters;

  /// Whether the base is what task vectors are taken from, and no model of its own.
  bool takes_task_vectors(bool has_base) const {
    return models == Models::kTaskVectors || (models == Models::kTwo && has_base);
  }
};

const std::vector<MergekitMethod>& mergekit_methods();
/// `name` must be one of them, as that of a parsed configuration is.
const MergekitMethod& mergekit_method(std::string_view name);

/// Reads the text of a configuration; `where` names it in messages. UserError "WHERE:LINE: ..." on
/// anything unknown, saying whether mergekit has it and Assay does not support it yet, or else the
/// nearest known name.
MergekitConfig parse_mergekit_yaml(std::string_view text, const std::string& where);

}  // namespace assay
