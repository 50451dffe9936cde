#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/architecture.h"

namespace assay {
namespace {

bool ignored(const CheckpointNames& names, const std::string& name) {
  for (const std::string& part : names.ignored)
    if (name.starts_with(part) || name.ends_with(part)) return true;
  return false;
}

const std::string* original_of(const std::vector<std::pair<std::string, std::string>>& pairs,
                               const std::string& name) {
  for (const auto& [alias, original] : pairs)
    if (alias == name) return &original;
  return nullptr;
}

}  // namespace

std::string canonical_name(const CheckpointNames& names, const std::string& stored) {
  std::string name = stored;
  for (const auto& [start, replacement] : names.renamed)
    if (name.starts_with(start)) {
      name.replace(0, start.size(), replacement);
      break;
    }
  for (const auto& [end, replacement] : names.renamed_ends)
    if (name.ends_with(end)) {
      name.replace(name.size() - end.size(), end.size(), replacement);
      break;
    }
  return name;
}

StateDict load_weights(const Architecture& architecture, const TensorSource& source,
                       at::Device device, std::optional<at::ScalarType> dtype) {
  DeviceMap devices;
  for (const TensorInfo& info : architecture.tensors()) devices.emplace(info.name, device);
  return load_weights(architecture, source, devices, dtype);
}

StateDict load_weights(const Architecture& architecture, const TensorSource& source,
                       const DeviceMap& devices, std::optional<at::ScalarType> dtype) {
  const std::string model = architecture.config().at("model_type");
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, const TensorInfo*> stored;  // keyed by the architecture's names
  for (const TensorInfo& info : source.tensors()) {
    const auto [it, inserted] = stored.emplace(canonical_name(names, info.name), &info);
    if (!inserted)
      data_error("{}: tensors '{}' and '{}' are the same tensor of {}", source.label(),
                 it->second->name, info.name, model);
  }
  StateDict weights;
  std::vector<std::string> substituted;
  for (const TensorInfo& wanted : architecture.tensors()) {
    const auto found = stored.find(wanted.name);
    if (found == stored.end() && original_of(names.substituted, wanted.name)) {
      substituted.push_back(wanted.name);
      continue;
    }
    if (found == stored.end())
      data_error("{}: no tensor '{}', which {} needs with shape {}", source.label(), wanted.name,
                 model, shape_text(wanted.shape));
    const TensorInfo& info = *found->second;
    if (info.shape != wanted.shape)
      data_error("{}: tensor '{}' has shape {}, but {} needs {}", source.label(), info.name,
                 shape_text(info.shape), model, shape_text(wanted.shape));
    weights[wanted.name] =
        source.read(info.name).to(devices.at(wanted.name), dtype.value_or(info.dtype));
    stored.erase(found);
  }
  for (const std::string& name : substituted)
    weights[name] = weights.at(*original_of(names.substituted, name));
  for (const auto& [name, info] : stored) {
    if (const std::string* original = original_of(names.tied, name)) {
      const at::Tensor& held = weights.at(*original);
      const at::Tensor copy =
          source.read(info->name).to(held.device(), dtype.value_or(info->dtype));
      if (!at::equal(copy, held))
        data_error("{}: tensor '{}' differs from '{}', but config.json says that they are tied",
                   source.label(), info->name, *original);
    } else if (!ignored(names, name)) {
      data_error("{}: {} has no tensor '{}'", source.label(), model, info->name);
    }
  }
  return weights;
}

}  // namespace assay
