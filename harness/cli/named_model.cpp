#include "harness/cli/named_model.h"

#include "harness/core/log.h"

namespace assay::cli {

ModelPath named_model(const std::string& model, const std::string& adapter) {
  ModelPath path = find_adapted(model, adapter);
  for (const std::string& note : path.notes) log_info("note: {}", note);
  return path;
}

}  // namespace assay::cli
