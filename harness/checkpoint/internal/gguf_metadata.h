/// Reading of GGUF metadata by key, with errors that name file and key.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/gguf.h"

namespace assay {

class GgufMetadata {
 public:
  /// Refers to both.
  GgufMetadata(const GgufHeader& header, const std::string& file) : header_(header), file_(file) {}

  const std::string& file() const { return file_; }
  /// general.architecture; empty when there is none.
  std::string architecture() const;
  /// "ARCHITECTURE.key".
  std::string own(const std::string& key) const { return architecture() + "." + key; }

  /// nullptr when the key is missing.
  const Json* find(const std::string& key) const;
  /// Each is DataError when the value has another type; those without `optional` when the key is
  /// missing.
  int64_t integer(const std::string& key) const;
  std::optional<int64_t> optional_integer(const std::string& key) const;
  double number(const std::string& key) const;
  std::optional<double> optional_number(const std::string& key) const;
  std::optional<bool> optional_flag(const std::string& key) const;
  std::optional<std::string> optional_text(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;
  const Json& list(const std::string& key) const;

 private:
  const Json& at(const std::string& key) const;
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const;

  const GgufHeader& header_;
  const std::string& file_;
};

}  // namespace assay
