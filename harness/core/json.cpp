#include "harness/core/json.h"

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/core/json_text.h"

namespace assay {

JsonReader JsonReader::at(const std::string& key) {
  auto found = find(key);
  if (!found) user_error("{}: the key '{}' is missing", where_, key);
  return *found;
}

std::optional<JsonReader> JsonReader::find(const std::string& key) {
  if (!value_->is_object()) fail("expected an object");
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.push_back(key);
  const auto it = value_->find(key);
  if (it == value_->end()) return std::nullopt;
  return JsonReader(*it, where_ + "." + key);
}

std::vector<JsonReader> JsonReader::elements() const {
  if (!value_->is_array()) fail("expected a list");
  std::vector<JsonReader> out;
  for (size_t i = 0; i < value_->size(); ++i)
    out.emplace_back((*value_)[i], fmt::format("{}[{}]", where_, i));
  return out;
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::entries() const {
  if (!value_->is_object()) fail("expected an object");
  std::vector<std::pair<std::string, JsonReader>> out;
  for (const auto& [key, value] : value_->items())
    out.emplace_back(key, JsonReader(value, where_ + "." + key));
  return out;
}

std::string JsonReader::as_string() const {
  if (!value_->is_string()) fail("expected a string");
  return value_->get<std::string>();
}

double JsonReader::as_number() const {
  if (!value_->is_number()) fail("expected a number");
  const auto number = value_->get<double>();
  if (!std::isfinite(number)) fail("expected a finite number");
  return number;
}

int64_t JsonReader::as_integer() const {
  if (!value_->is_number_integer() ||
      (value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX}))
    fail("expected an integer of 64 bits");
  return value_->get<int64_t>();
}

bool JsonReader::as_bool() const {
  if (!value_->is_boolean()) fail("expected true or false");
  return value_->get<bool>();
}

std::vector<std::string> JsonReader::as_strings() const {
  std::vector<std::string> out;
  for (const auto& element : elements()) out.push_back(element.as_string());
  return out;
}

std::string JsonReader::string(const std::string& key, std::string fallback) {
  const auto found = find(key);
  return found ? found->as_string() : std::move(fallback);
}

double JsonReader::number(const std::string& key, double fallback) {
  const auto found = find(key);
  return found ? found->as_number() : fallback;
}

int64_t JsonReader::integer(const std::string& key, int64_t fallback) {
  const auto found = find(key);
  return found ? found->as_integer() : fallback;
}

bool JsonReader::boolean(const std::string& key, bool fallback) {
  const auto found = find(key);
  return found ? found->as_bool() : fallback;
}

void JsonReader::finish() const {
  if (!value_->is_object()) return;
  for (const auto& [key, unused] : value_->items())
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end())
      throw UserError(unknown_name("key", key, where_, asked_));
}

void JsonReader::fail(const std::string& message) const {
  std::string found = json_text(*value_);
  constexpr size_t kMostShown = 80;
  if (found.size() > kMostShown) found = found.substr(0, kMostShown) + "...";
  user_error("{}: {}, found {}", where_, message, found);
}

std::string canonical(const Json& value) { return json_text(value); }

}  // namespace assay
