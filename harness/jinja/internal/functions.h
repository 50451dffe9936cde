/// What expressions may call: filters, tests, methods of values and global functions.
#pragma once

#include <string>
#include <vector>

#include "harness/jinja/internal/value.h"

namespace assay::jinja {

/// The arguments of a call, read by position or name.
class CallArguments {
 public:
  /// `what` names the function in messages.
  CallArguments(std::string what, const Values& values, const Named& named)
      : what_(std::move(what)), values_(values), named_(named) {}

  size_t count() const { return values_.size(); }
  const Values& values() const { return values_; }
  const Named& named() const { return named_; }
  /// The argument at `position`, or of that name; nullptr when it is not given.
  const Value* find(size_t position, const std::string& name) const;
  /// DataError when it is missing or of another type.
  const Value& at(size_t position, const std::string& name) const;
  const std::string& text(size_t position, const std::string& name) const;
  int64_t integer(size_t position, const std::string& name) const;
  std::string text(size_t position, const std::string& name, const std::string& fallback) const;
  int64_t integer(size_t position, const std::string& name, int64_t fallback) const;
  bool flag(size_t position, const std::string& name, bool fallback) const;
  /// DataError naming the function.
  [[noreturn]] void fail(const std::string& why) const;

 private:
  std::string what_;
  const Values& values_;
  const Named& named_;
};

bool is_filter(const std::string& name);
std::vector<std::string> filter_names();
/// DataError when the value or an argument does not suit the filter.
Value apply_filter(const std::string& name, const Value& value, const CallArguments& arguments,
                   const JinjaOptions& options);

bool is_test(const std::string& name);
std::vector<std::string> test_names();
bool apply_test(const std::string& name, const Value& value, const CallArguments& arguments);

/// A method of a text, a list or a dictionary, as Python has it; undefined when there is none.
Value method_of(const Value& value, const std::string& name);

/// The member of that name or at that index: of dictionaries, lists and texts; undefined when there
/// is none.
Value item_of(const Value& value, const Value& key);

/// What a loop visits: a list's items, a dictionary's keys, a text's characters. DataError on
/// others.
Values items_of(const Value& value);
/// DataError when the value has no length.
int64_t length_of(const Value& value);
/// Whether `container` holds it: an item, a key or a part of a text.
bool contains(const Value& container, const Value& value);

/// Global functions: range, namespace, dict and raise_exception. There is no strftime_now: results
/// do not depend on the date, and templates have a fixed one for programs without it.
Dict global_functions();

}  // namespace assay::jinja
