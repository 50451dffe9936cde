#include "harness/merge/request/prefix.h"

#include <set>
#include <string_view>

#include "harness/merge/request/roles.h"

namespace assay {
namespace {

/// Names of `longer` and what they are in `shorter`, without the prefix. Empty when there is a name
/// that begins with it for which that does not hold.
std::map<std::string, std::string> stripped(const TensorSource& longer, const TensorSource& shorter,
                                            const std::string& prefix) {
  std::map<std::string, std::string> names;
  for (const TensorInfo& info : longer.tensors()) {
    if (!info.name.starts_with(prefix)) continue;
    const std::string rest = info.name.substr(prefix.size());
    if (shorter.find(rest) && !longer.find(rest) && !shorter.find(info.name))
      names[info.name] = rest;
    else if (!is_buffer(info))
      return {};
  }
  const bool most = 2 * names.size() >= longer.tensors().size();
  return most ? names : std::map<std::string, std::string>{};
}

/// Buffers that the reference does not have follow the other tensors.
void map_buffers(const TensorSource& reference, const TensorSource& model, PrefixMap& map) {
  for (const TensorInfo& info : model.tensors()) {
    if (!is_buffer(info) || reference.find(info.name)) continue;
    if (map.added)
      map.names.emplace(map.prefix + info.name, info.name);
    else if (info.name.starts_with(map.prefix))
      map.names.emplace(info.name.substr(map.prefix.size()), info.name);
  }
}

/// What comes before a name of `shorter` in a name that only `longer` has.
std::set<std::string> candidates(const TensorSource& longer, const TensorSource& shorter) {
  constexpr size_t kMost = 8;
  std::set<std::string> found;
  for (const TensorInfo& info : longer.tensors()) {
    if (shorter.find(info.name)) continue;
    for (size_t dot = info.name.find('.'); dot != std::string::npos;
         dot = info.name.find('.', dot + 1))
      if (shorter.find(info.name.substr(dot + 1))) found.insert(info.name.substr(0, dot + 1));
    if (found.size() >= kMost) break;
  }
  return found;
}

}  // namespace

PrefixMap map_prefix(const TensorSource& reference, const TensorSource& model) {
  PrefixMap best;
  size_t equals = 0;
  const auto consider = [&](const std::string& prefix, bool added) {
    const auto pairs =
        added ? stripped(reference, model, prefix) : stripped(model, reference, prefix);
    if (pairs.empty() || pairs.size() < best.names.size()) return;
    equals = pairs.size() == best.names.size() ? equals + 1 : 1;
    best = {prefix, added, {}};
    for (const auto& [longer, rest] : pairs)
      added ? best.names.emplace(longer, rest) : best.names.emplace(rest, longer);
  };
  for (const std::string& prefix : candidates(reference, model)) consider(prefix, true);
  for (const std::string& prefix : candidates(model, reference)) consider(prefix, false);
  if (equals != 1) return {};
  map_buffers(reference, model, best);
  return best;
}

}  // namespace assay
