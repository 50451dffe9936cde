#include "harness/merge/engine/group_job.h"

#include "harness/core/error.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/request/roles.h"

namespace assay {

std::shared_ptr<TensorHandle> GroupJob::handle(const std::string& name) const {
  return std::make_shared<TensorHandle>(name, models_.inputs().seed, diagnostics_, models_.cache(),
                                        models_.inputs().evidence);
}

void GroupJob::for_each(const std::function<void(size_t index)>& body) const {
  models_.for_each(
      names_, [&](size_t index) { return models_.small(names_[index]); },
      [&](size_t index) {
        body(index);
        models_.release();
      });
}

TensorParts GroupJob::parts(const std::shared_ptr<TensorHandle>& handle) const {
  const TensorJob head(handle->name(), handle);
  return {head,
          num_experts(),
          reference_source(models_.inputs()).find(head.name)->numel(),
          models_.dtype(head.name),
          working_memory(models_.inputs()),
          [this, head](const TensorParts::Body& body) {
            models_.for_each_part(head, [&](const TensorJob& part) {
              const auto where = [&] {
                return fmt::format(" in tensor '{}', elements {} to {}", part.name, part.offset,
                                   part.offset + part.experts.front().numel() - 1);
              };
              in_method(info_.name, where, [&] { body(part); });
            });
          }};
}

const Evidence& GroupJob::evidence() const {
  ASSAY_CHECK(models_.inputs().evidence, "{} asks for evidence without a need for calibration data",
              info_.name);
  return *models_.inputs().evidence;
}

TensorJob GroupJob::tensor(const std::string& name) const {
  return models_.whole(TensorJob(name, handle(name)));
}

}  // namespace assay
