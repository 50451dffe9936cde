#include "harness/cli/method_filter.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "harness/core/error.h"

namespace assay::cli {
namespace {

constexpr const char* kWhere = "--needs";

std::string needed_data(const Needs& needs) {
  if (needs.calibration_labels) return "labels";
  return needs.calibration_inputs || needs.gradients ? "inputs" : "none";
}

std::string yes_or_no(bool needed) { return needed ? "yes" : "no"; }

/// What a key says of a method, and the values it can have.
struct Key {
  std::function<std::string(const Needs&)> value;
  std::vector<std::string> allowed;
};

const std::map<std::string, Key>& keys() {
  static const std::map<std::string, Key> keys{
      {"data", {needed_data, {"none", "inputs", "labels"}}},
      {"gradients", {[](const Needs& n) { return yes_or_no(n.gradients); }, {"yes", "no"}}},
      {"base", {[](const Needs& n) { return yes_or_no(n.base); }, {"yes", "no"}}},
      {"architecture", {[](const Needs& n) { return yes_or_no(n.architecture); }, {"yes", "no"}}},
      {"output",
       {[](const Needs& n) -> std::string {
          if (n.output == Output::kModelPerTask) return "task";
          return n.output == Output::kSameArchitecture ? "one" : "other";
        },
        {"one", "task", "other"}}}};
  return keys;
}

std::function<bool(const Needs&)> takes_experts(const std::string& text) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1)
    user_error("{}: 'experts={}': expected a number of at least 1", kWhere, text);
  return [count](const Needs& n) { return n.min_experts <= count && count <= n.max_experts; };
}

}  // namespace

MethodFilter::MethodFilter(const std::vector<std::string>& conditions) {
  for (const std::string& condition : conditions) {
    const size_t sign = condition.find('=');
    if (sign == std::string::npos)
      user_error("{}: '{}': expected KEY=VALUE, as in data=none", kWhere, condition);
    const std::string name = condition.substr(0, sign), wanted = condition.substr(sign + 1);
    if (name == "experts") {
      conditions_.push_back(takes_experts(wanted));
      continue;
    }
    const auto key = keys().find(name);
    if (key == keys().end()) {
      std::vector<std::string> known{"experts"};
      for (const auto& [each, unused] : keys()) known.push_back(each);
      throw UserError(unknown_name("key", name, kWhere, known));
    }
    const std::vector<std::string>& allowed = key->second.allowed;
    if (std::find(allowed.begin(), allowed.end(), wanted) == allowed.end())
      throw UserError(unknown_name("value of " + name, wanted, kWhere, allowed));
    conditions_.emplace_back(
        [value = key->second.value, wanted](const Needs& n) { return value(n) == wanted; });
  }
}

bool MethodFilter::keeps(const Needs& needs) const {
  return std::all_of(conditions_.begin(), conditions_.end(),
                     [&](const auto& condition) { return condition(needs); });
}

}  // namespace assay::cli
