#include "harness/model/architecture.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/rng.h"

namespace assay {
namespace {

void fill_normal(const at::Tensor& tensor, double deviation, uint64_t seed,
                 const std::string& name) {
  Rng rng(seed, "initial weights of " + name);
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(deviation * rng.normal());
}

}  // namespace

Registry<ArchitectureEntry>& architectures() {
  static Registry<ArchitectureEntry> registry("architecture");
  return registry;
}

std::unique_ptr<Architecture> make_architecture(JsonReader config) {
  const ArchitectureEntry& entry =
      architectures().at(config.string("model_type"), config.where() + ".model_type");
  Json fields = config.json();
  fields.erase("model_type");
  return entry.make(JsonReader(fields, config.where()));
}

StateDict kaiming_weights(const std::vector<TensorInfo>& tensors, uint64_t seed) {
  StateDict weights;
  for (const TensorInfo& info : tensors) {
    at::Tensor tensor = at::zeros(info.shape, at::kFloat);
    if (info.shape.size() >= 2) {
      const double fan_in =
          static_cast<double>(info.numel()) / static_cast<double>(info.shape.front());
      fill_normal(tensor, std::sqrt(2.0 / fan_in), seed, info.name);
    } else if (info.name.ends_with(".weight") || info.name.ends_with(".running_var")) {
      tensor.fill_(1.0);
    }
    weights[info.name] = tensor;
  }
  return weights;
}

StateDict normal_weights(const std::vector<TensorInfo>& tensors, double deviation, double vector,
                         uint64_t seed) {
  StateDict weights;
  for (const TensorInfo& info : tensors) {
    at::Tensor tensor = at::zeros(info.shape, at::kFloat);
    if (info.shape.size() >= 2)
      fill_normal(tensor, deviation, seed, info.name);
    else if (!std::string_view(info.name).ends_with(".bias"))
      tensor.fill_(vector);
    weights[info.name] = tensor;
  }
  return weights;
}

void check_inputs(std::string_view architecture, const at::Tensor& inputs, at::IntArrayRef item) {
  if (inputs.dim() >= 1 && inputs.sizes().slice(1) == item) return;
  std::string wanted = "[n";
  for (const int64_t size : item) wanted += fmt::format(", {}", size);
  data_error("{} takes inputs of shape {}], found {}", architecture, wanted,
             shape_text(inputs.sizes()));
}

}  // namespace assay
