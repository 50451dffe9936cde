/// Reads the config.json of published models: what matters is asked for by name, what is known not
/// to matter is passed over, and what would change results unseen is refused.
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

  /// A number of layers: 1 or more, and not more than anybody could store.
  int64_t layers(const std::string& key);
  /// Likewise, where it may be left out.
  int64_t layers(const std::string& key, int64_t fallback);
  /// A count of 1 or more.
  int64_t size(const std::string& key);
  int64_t size(const std::string& key, int64_t fallback);
  /// None when the field is null, `missing` when it is not there.
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
  /// A width, read before, shared out among heads. UserError naming both fields when that leaves a
  /// rest.
  int64_t per_head(const std::string& width_key, int64_t width, const std::string& heads_key,
                   int64_t heads) const;
  bool flag(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  std::optional<JsonReader> find(const std::string& key);

  /// Refuses any value of the field but `allowed` (and none).
  void only(const std::string& key, const Json& allowed);
  /// Passes over fields that do not change what the model computes.
  void ignore(std::initializer_list<std::string_view> keys);
  /// Deals with the fields that nobody asked for. Passes over what every family's config.json may
  /// hold beside its architecture (ids of special tokens, dropout, versions, defaults of
  /// generation). Refuses those that in some family change what a model computes, unless they say
  /// that it is left as it is. Warns of all others.
  void finish();
  /// Warns of fields that nobody asked for, once in a process.
  void warn_of_rest() const;

  const std::string& where() const { return json_.where(); }

 private:
  bool asked(std::string_view key) const;
  void refuse_unsupported();

  JsonReader json_;
  std::vector<std::string> asked_;
};

}  // namespace assay
