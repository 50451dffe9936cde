/// Reads the config.json of published models. A family requests the fields it uses by name. Fields
/// known to have no effect are ignored; unsupported fields that would change results are refused.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "harness/core/json.h"

namespace assay {

/// A field that is null counts as absent. Errors are UserErrors naming file and field.
class ConfigFields {
 public:
  explicit ConfigFields(JsonReader json) : json_(std::move(json)) {}

  /// A number of layers: 1 or more, with an upper bound against corrupt files.
  int64_t layers(const std::string& key);
  /// Likewise for an optional field.
  int64_t layers(const std::string& key, int64_t fallback);
  /// A count of 1 or more.
  int64_t size(const std::string& key);
  int64_t size(const std::string& key, int64_t fallback);
  /// None when the field is null, `missing` when it is absent.
  std::optional<int64_t> optional_size(const std::string& key,
                                       std::optional<int64_t> missing = std::nullopt);
  /// 0 or more.
  int64_t count(const std::string& key, int64_t fallback);
  double number(const std::string& key, double fallback);
  std::optional<double> optional_number(const std::string& key,
                                        std::optional<double> missing = std::nullopt);
  /// Above zero.
  double positive(const std::string& key);
  double positive(const std::string& key, double fallback);
  /// `width` divided by `heads`. UserError naming both fields when it is not divisible.
  int64_t per_head(const std::string& width_key, int64_t width, const std::string& heads_key,
                   int64_t heads) const;
  bool flag(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  std::optional<JsonReader> find(const std::string& key);
  /// The number of classes of a classification head; 0 when "architectures" names no model that
  /// ends in `model` ("ForSequenceClassification"), and so the checkpoint has no head.
  int64_t classes(std::string_view model);

  /// Whether "architectures" names a model that ends in `model` ("ForMaskedLM").
  bool is_for(std::string_view model);

  /// UserError when the field has any value but `allowed`; it may be absent.
  void only(const std::string& key, const Json& allowed);
  /// Ignores fields that do not change what the model computes.
  void ignore(std::initializer_list<std::string_view> keys);
  /// Checks the fields that were not requested. Ignores those of every family's config.json that
  /// do not describe the architecture (ids of special tokens, dropout, versions, defaults of
  /// generation). Refuses those that change what some family computes, unless their value is
  /// neutral. Warns about all others.
  void finish();
  /// Warns about fields that were not requested, once in a process.
  void warn_of_rest() const;

  const std::string& where() const { return json_.where(); }

 private:
  bool asked(std::string_view key) const;
  void refuse_unsupported();

  JsonReader json_;
  std::vector<std::string> asked_;
};

}  // namespace assay
