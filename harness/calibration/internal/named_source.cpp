#include "harness/calibration/internal/named_source.h"

namespace assay {

NamedSource::NamedSource(std::shared_ptr<const TensorSource> source,
                         const std::map<std::string, std::string>& own_names)
    : source_(std::move(source)) {
  if (own_names.empty()) {
    infos_ = source_->tensors();
    return;
  }
  for (const auto& [merged, own] : own_names)
    if (const TensorInfo* info = source_->find(own)) {
      own_names_.emplace(merged, own);
      infos_.push_back({merged, info->dtype, info->shape});
    }
}

// Unknown names go to the source as they are, whose message names them.
const std::string& NamedSource::own(const std::string& name) const {
  const auto found = own_names_.find(name);
  return found == own_names_.end() ? name : found->second;
}

}  // namespace assay
