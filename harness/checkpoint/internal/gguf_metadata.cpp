#include "harness/checkpoint/internal/gguf_metadata.h"

#include <limits>

#include "harness/core/error.h"

namespace assay {

std::string GgufMetadata::architecture() const {
  return optional_text("general.architecture").value_or("");
}

const Json* GgufMetadata::find(const std::string& key) const {
  const auto found = header_.metadata.find(key);
  return found == header_.metadata.end() ? nullptr : &*found;
}

const Json& GgufMetadata::at(const std::string& key) const {
  const Json* value = find(key);
  if (!value) data_error("{}: the metadata has no '{}'", file_, key);
  return *value;
}

void GgufMetadata::fail(const std::string& key, const std::string& expected) const {
  data_error("{}: metadata '{}' is expected to be {}, found {}", file_, key, expected,
             at(key).type_name());
}

int64_t GgufMetadata::integer(const std::string& key) const {
  const Json& value = at(key);
  // Some converters write one number per block.
  const Json& one = value.is_array() && !value.empty() ? value.front() : value;
  if (!one.is_number_integer()) fail(key, "an integer");
  if (value.is_array())
    for (const Json& other : value)
      if (other != one)
        data_error("{}: metadata '{}' differs between blocks, which is not supported", file_, key);
  if (one.is_number_unsigned() &&
      one.get<uint64_t>() > uint64_t{std::numeric_limits<int32_t>::max()})
    data_error("{}: metadata '{}' is {}", file_, key, one.dump());
  return one.get<int64_t>();
}

std::optional<int64_t> GgufMetadata::optional_integer(const std::string& key) const {
  return find(key) ? std::optional(integer(key)) : std::nullopt;
}

double GgufMetadata::number(const std::string& key) const {
  if (!at(key).is_number()) fail(key, "a number");
  return at(key).get<double>();
}

std::optional<double> GgufMetadata::optional_number(const std::string& key) const {
  return find(key) ? std::optional(number(key)) : std::nullopt;
}

std::optional<bool> GgufMetadata::optional_flag(const std::string& key) const {
  if (!find(key)) return std::nullopt;
  if (!at(key).is_boolean()) fail(key, "true or false");
  return at(key).get<bool>();
}

std::optional<std::string> GgufMetadata::optional_text(const std::string& key) const {
  if (!find(key)) return std::nullopt;
  if (!at(key).is_string()) fail(key, "a text");
  return at(key).get<std::string>();
}

const Json& GgufMetadata::list(const std::string& key) const {
  if (!at(key).is_array()) fail(key, "a list");
  return at(key);
}

std::vector<std::string> GgufMetadata::texts(const std::string& key) const {
  std::vector<std::string> out;
  for (const Json& text : list(key)) {
    if (!text.is_string()) fail(key, "a list of texts");
    out.push_back(text.get<std::string>());
  }
  return out;
}

}  // namespace assay
