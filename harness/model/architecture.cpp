#include "harness/model/architecture.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/rng.h"

namespace assay {

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

StateDict load_weights(const Architecture& architecture, const TensorSource& source,
                       at::Device device) {
  const std::string model = architecture.config().at("model_type");
  StateDict weights;
  for (const TensorInfo& wanted : architecture.tensors()) {
    const TensorInfo* found = source.find(wanted.name);
    if (!found)
      data_error("{}: no tensor '{}', which {} needs with shape {}", source.label(), wanted.name,
                 model, shape_text(wanted.shape));
    if (found->shape != wanted.shape)
      data_error("{}: tensor '{}' has shape {}, but {} needs {}", source.label(), wanted.name,
                 shape_text(found->shape), model, shape_text(wanted.shape));
    weights[wanted.name] = source.read(wanted.name).to(device);
  }
  for (const TensorInfo& found : source.tensors())
    if (!weights.contains(found.name))
      data_error("{}: {} has no tensor '{}'", source.label(), model, found.name);
  return weights;
}

StateDict kaiming_weights(const std::vector<TensorInfo>& tensors, uint64_t seed) {
  StateDict weights;
  for (const TensorInfo& info : tensors) {
    at::Tensor tensor = at::zeros(info.shape, at::kFloat);
    if (info.shape.size() >= 2) {
      const double fan_in =
          static_cast<double>(info.numel()) / static_cast<double>(info.shape.front());
      const double deviation = std::sqrt(2.0 / fan_in);
      Rng rng(seed, "initial weights of " + info.name);
      float* values = tensor.data_ptr<float>();
      for (int64_t i = 0; i < info.numel(); ++i)
        values[i] = static_cast<float>(deviation * rng.normal());
    }
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
