/// Strict reading of JSON input: every key is asked for by name, every unknown key is an error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

using Json = nlohmann::json;

/// Parses text; `where` names it in messages. UserError with line and column when it is not JSON,
/// when a key appears twice in an object, and when values are nested more than 100 levels deep.
Json parse_json(std::string_view text, const std::string& where);

/// Parses a file, likewise. DataError when it cannot be read.
Json read_json(const std::filesystem::path& path);

/// A value of a JSON document that knows its location ("sweep.json: $.methods[2].grid"), so that
/// every error names it. Objects are read key by key; call finish() when all known keys were read:
/// it rejects the others with the nearest known name.
class JsonReader {
 public:
  JsonReader(const Json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const Json& json() const { return *value_; }
  const std::string& where() const { return where_; }

  bool is_object() const { return value_->is_object(); }
  bool is_array() const { return value_->is_array(); }
  bool is_string() const { return value_->is_string(); }

  /// The value of a key of an object. UserError when this is no object or the key is missing.
  JsonReader at(const std::string& key);
  std::optional<JsonReader> find(const std::string& key);
  /// Elements of an array, entries of an object in key order. UserError on other kinds.
  std::vector<JsonReader> elements() const;
  std::vector<std::pair<std::string, JsonReader>> entries() const;

  std::string as_string() const;
  double as_number() const;
  int64_t as_integer() const;
  bool as_bool() const;
  std::vector<std::string> as_strings() const;

  std::string string(const std::string& key) { return at(key).as_string(); }
  std::string string(const std::string& key, std::string fallback);
  double number(const std::string& key, double fallback);
  int64_t integer(const std::string& key, int64_t fallback);
  bool boolean(const std::string& key, bool fallback);

  /// UserError when the object has a key that was never read.
  void finish() const;

  /// UserError "WHERE: message, found VALUE".
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const Json* value_;
  std::string where_;
  std::vector<std::string> asked_;
};

/// Canonical text: keys sorted, no white space, shortest round-trip numbers. Equal values give
/// equal bytes, so it can be hashed.
std::string canonical(const Json& value);

}  // namespace assay
