#include "harness/checkpoint/origin.h"

namespace assay {

std::vector<std::string> trained_on(const Checkpoint& model) {
  const Json& origin = model.origin();
  if (!origin.is_object() || !origin.contains("trained_on")) return {};
  return origin.at("trained_on").get<std::vector<std::string>>();
}

}  // namespace assay
