#include "methods/spectral/coordinates.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"

namespace assay {

at::Tensor Coordinates::restored(const at::Tensor& coordinates) const {
  at::Tensor matrix = coordinates.to(at::kDouble);
  if (mask.defined()) matrix = matrix * mask;
  if (left.defined()) matrix = left.mm(matrix);
  return right.defined() ? matrix.mm(right.t()) : matrix;
}

/// The models with coordinates in place of matrices. They are made when they are first asked for.
class CoordinateModel final : public ModelJob {
 public:
  CoordinateModel(const ModelJob& models, const MakeCoordinates& make, CoordinateMerge& merge)
      : models_(models), make_(make), merge_(merge) {}
  size_t num_experts() const override { return models_.num_experts(); }
  const std::vector<std::string>& names() const override {
    if (!names_) make_all();
    return *names_;
  }
  TensorParts parts(const std::string& name) const override {
    const auto found = held(name);
    if (!found) return inner_parts(models_.parts(name));
    return inner_parts(models_.tensor(name), at::zeros_like(found->experts[0]), found->experts);
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    for (size_t i = 0; i < names().size(); ++i) body(i);
  }
  TensorJob tensor(const std::string& name) const override {
    const TensorJob job = models_.tensor(name);
    const auto found = held(name);
    if (!found) return inner_job(job, job.base, job.experts);
    return inner_job(job, at::zeros_like(found->experts[0]), found->experts);
  }
  const Evidence& evidence() const override { return models_.evidence(); }

 private:
  /// Null for tensors that are no matrices.
  const Coordinates* held(const std::string& name) const {
    const auto found = merge_.held_.find(name);
    return found == merge_.held_.end() ? nullptr : &found->second;
  }
  void make_all() const {
    std::mutex mutex;
    std::vector<std::string> names;
    models_.for_each([&](size_t index) {
      const TensorJob job = models_.tensor(models_.names()[index]);
      const bool matrix = merge_.matrices.applies(job);
      if (!matrix && merge_.others != CoordinateMerge::Rest::kMethod) return;
      std::optional<Coordinates> made;
      if (matrix) made = make_(job);
      const std::lock_guard lock(mutex);
      names.push_back(job.name);
      if (made) merge_.held_[job.name] = std::move(*made);
    });
    std::sort(names.begin(), names.end());
    names_ = std::move(names);
  }

  const ModelJob& models_;
  const MakeCoordinates& make_;
  CoordinateMerge& merge_;
  mutable std::optional<std::vector<std::string>> names_;
};

std::optional<std::string> CoordinateMerge::conflict() const {
  if (auto conflict = inner_conflict(*of)) return conflict;
  if (!of->needs().calibration_inputs) return std::nullopt;
  return fmt::format("parameter 'of' is {}, which looks at data: there are none for coordinates",
                     of->info().name);
}

void CoordinateMerge::prepare(const ModelJob& job, const MakeCoordinates& make) {
  held_.clear();
  of->prepare(CoordinateModel(job, make, *this));
}

at::Tensor CoordinateMerge::merge(const TensorJob& job, const MakeCoordinates& make) const {
  if (!matrices.applies(job)) {
    if (others != Rest::kMethod)
      return merge_other(job, others == Rest::kMean ? Others::kMean : Others::kBase, scale);
    const at::Tensor merged = merge_inner(*of, job, job.base, job.experts);
    return add_matrix(job, merged.to(at::kDouble) - job.base.to(at::kDouble), scale);
  }
  const auto found = held_.find(job.name);
  const Coordinates coordinates = found == held_.end() ? make(job) : found->second;
  const at::Tensor merged =
      merge_inner(*of, job, at::zeros_like(coordinates.experts[0]), coordinates.experts);
  const OneThread one;
  return add_matrix(job, coordinates.restored(merged), scale);
}

}  // namespace assay
