/// Named things that register themselves from their own source file: methods, architectures, task
/// kinds, dataset loaders. One registry of each kind exists, in the core library, for built-in and
/// loaded entries alike.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/core/error.h"

namespace assay {

template <typename Entry>
class Registry {
 public:
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  /// Names are [a-z0-9_]+ and unique: anything else is a bug of the registering file and aborts.
  bool add(const std::string& name, Entry entry) {
    ASSAY_CHECK(!name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
                                     std::string::npos,
                "{} name '{}'", kind_, name);
    const bool inserted = entries_.emplace(name, std::move(entry)).second;
    ASSAY_CHECK(inserted, "two {}s register the name '{}'", kind_, name);
    return true;
  }

  /// UserError with the nearest known name when there is no such entry; `where` names the place
  /// that asked for it.
  const Entry& at(const std::string& name, const std::string& where) const {
    const auto it = entries_.find(name);
    if (it == entries_.end()) throw UserError(unknown_name(kind_, name, where, names()));
    return it->second;
  }

  /// In alphabetical order.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, unused] : entries_) out.push_back(name);
    return out;
  }

 private:
  std::string kind_;
  std::map<std::string, Entry> entries_;
};

}  // namespace assay
