/// Reads the string arrays in a GGUF header, which contain the reference vocabularies.
#pragma once

#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace assay {

class GgufTexts {
 public:
  explicit GgufTexts(std::string bytes) : bytes_(std::move(bytes)) {
    if (take(4) != "GGUF") throw std::runtime_error("not a GGUF file");
    number<uint32_t>();  // version
    number<uint64_t>();  // tensors
    for (auto entries = number<uint64_t>(); entries > 0; --entries) {
      const std::string key = text();
      value(key, number<uint32_t>());
    }
  }
  const std::vector<std::string>& at(const std::string& key) const { return lists_.at(key); }

 private:
  static constexpr uint32_t kText = 8, kList = 9;

  std::string take(uint64_t size) {
    std::string out = bytes_.substr(position_, size);
    if (out.size() != size) throw std::runtime_error("the GGUF file is truncated");
    position_ += size;
    return out;
  }
  template <typename T>
  T number() {
    T out;
    std::memcpy(&out, take(sizeof out).data(), sizeof out);
    return out;
  }
  std::string text() { return take(number<uint64_t>()); }

  void value(const std::string& key, uint32_t type) {
    constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kText) {
      lists_[key].push_back(text());
    } else if (type == kList) {
      const auto of = number<uint32_t>();
      for (auto left = number<uint64_t>(); left > 0; --left) value(key, of);
    } else {
      take(kSizes[type]);
    }
  }

  std::string bytes_;
  uint64_t position_ = 0;
  std::map<std::string, std::vector<std::string>> lists_;
};

}  // namespace assay
