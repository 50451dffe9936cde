#include "harness/merge/preflight.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "harness/checkpoint/output_folder.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

// Keys of config.json that change what a model computes with its weights, shapes being equal.
constexpr const char* kComputing[] = {
    "model_type", "hidden_size",        "num_attention_heads",   "num_key_value_heads",
    "head_dim",   "hidden_act",         "rms_norm_eps",          "layer_norm_eps",
    "rope_theta", "rope_scaling",       "partial_rotary_factor", "sliding_window",
    "vocab_size", "tie_word_embeddings"};

std::optional<TensorRole> role_of(const TensorSource& source, const TensorInfo& info,
                                  std::vector<std::string>& problems) {
  try {
    return tensor_role(source, info);
  } catch (const DataError& error) {
    problems.emplace_back(error.what());
    return std::nullopt;
  }
}

int64_t bytes_on_disk(const fs::path& folder) {
  constexpr int64_t kBlock = 512;  // of st_blocks, whatever the file system
  int64_t blocks = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat status {};
    if (::lstat(entry->path().c_str(), &status) == 0) blocks += status.st_blocks;
  }
  return blocks * kBlock;
}

/// A method that does not work by parts, of which there is one.
std::string_view whole_tensors_method(const std::vector<MergeSection>& sections) {
  for (const MergeSection& section : sections)
    for (const GroupRef& group : section.groups)
      if (group.method.granularity() != Granularity::kParts) return group.method.info().name;
  ASSAY_CHECK(false, "all methods work by parts");
}

}  // namespace

std::vector<std::string> model_mismatches(const TensorSource& reference,
                                          const TensorSource& model) {
  std::vector<std::string> problems;
  const auto add = [&](const TensorInfo& info, const std::string& what) {
    problems.push_back(fmt::format("{}: tensor '{}' {}", model.label(), info.name, what));
  };
  for (const TensorInfo& wanted : reference.tensors()) {
    const TensorInfo* found = model.find(wanted.name);
    if (!found) {
      add(wanted, fmt::format("is missing; {} has it", reference.label()));
      continue;
    }
    if (found->shape != wanted.shape)
      add(wanted, fmt::format("has shape {}, but {} in {}", shape_text(found->shape),
                              shape_text(wanted.shape), reference.label()));
    const auto role = role_of(model, *found, problems);
    if (&model == &reference || !role) continue;
    std::vector<std::string> reported_already;
    const auto wanted_role = role_of(reference, wanted, reported_already);
    if (wanted_role &&
        (role != wanted_role || (role == TensorRole::kCopied && found->dtype != wanted.dtype)))
      add(wanted, fmt::format("has dtype {}, but {} in {}", dtype_name(found->dtype),
                              dtype_name(wanted.dtype), reference.label()));
  }
  for (const TensorInfo& info : model.tensors())
    if (!reference.find(info.name))
      add(info, fmt::format("is in no other model; {} does not have it", reference.label()));
  return problems;
}

std::vector<std::string> config_differences(const std::vector<MergeModel>& models) {
  std::vector<std::string> differences;
  const Json& reference = models.front().config;
  if (!reference.is_object()) return differences;
  const auto value = [](const Json& config, const char* key) {
    const auto it = config.find(key);
    return it == config.end() ? std::string("nothing") : it->dump();
  };
  for (size_t i = 1; i < models.size(); ++i) {
    const Json& config = models[i].config;
    if (!config.is_object()) continue;
    for (const char* key : kComputing)
      if (value(config, key) != value(reference, key))
        differences.push_back(fmt::format("{}: config.json says {} of '{}', that of {} says {}",
                                          models[i].source->label(), value(config, key), key,
                                          models.front().source->label(), value(reference, key)));
  }
  return differences;
}

std::vector<TensorInfo> result_layout(const MergeInputs& inputs) {
  const TensorSource& reference = reference_source(inputs);
  std::vector<TensorInfo> infos = reference.tensors();
  for (TensorInfo& info : infos)
    if (tensor_role(reference, info) == TensorRole::kMerged)
      info.dtype = inputs.dtype.value_or(info.dtype);
  for (TensorInfo& info : infos)
    if (const auto shape = inputs.shapes.find(info.name); shape != inputs.shapes.end())
      info.shape = shape->second;
  return infos;
}

std::vector<TensorInfo> result_layout(const std::vector<MergeSection>& sections) {
  std::vector<TensorInfo> infos;
  for (const MergeSection& section : sections)
    for (TensorInfo& info : result_layout(section.inputs)) infos.push_back(std::move(info));
  std::sort(infos.begin(), infos.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return infos;
}

int64_t memory_need(const std::vector<MergeSection>& sections) {
  int64_t most = 0;
  for (const auto& [inputs, groups] : sections)
    for (const GroupRef& group : groups) {
      const Granularity granularity = group.method.granularity();
      if (granularity == Granularity::kParts) continue;
      const bool base = inputs.base && group.method.needs().base;
      int64_t all = 0, largest = 0;
      for (const std::string& name : group.names) {
        const TensorInfo& info = *reference_source(inputs).find(name);
        // The inputs, and the result in float32.
        int64_t bytes = info.numel() * static_cast<int64_t>(sizeof(float));
        if (base) bytes += inputs.base->find(name)->bytes();
        for (const auto& expert : inputs.experts) bytes += expert->find(name)->bytes();
        all += bytes;
        largest = std::max(largest, bytes);
      }
      most = std::max(most, granularity == Granularity::kModel ? all : largest);
    }
  return most;
}

int64_t scratch_need(const std::vector<MergeSection>& sections) {
  int64_t most = 0;
  for (const auto& [inputs, groups] : sections)
    for (const GroupRef& group : groups)
      for (const std::string& name : group.names) {
        TensorInfo info = *reference_source(inputs).find(name);
        info.dtype = inputs.load_dtype.value_or(info.dtype);
        const int64_t bytes = group.method.working_bytes(info);
        if (!working_memory(inputs).fits(bytes)) most = std::max(most, bytes);
      }
  return most;
}

std::filesystem::path existing_parent(const std::filesystem::path& target) {
  fs::path place = target.parent_path();
  while (!fs::exists(place) && place.has_relative_path()) place = place.parent_path();
  return place;
}

int64_t free_disk(const std::filesystem::path& folder) {
  const fs::path target = resolve_output(folder);
  const fs::path place = existing_parent(target);
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) != 0)
    data_error("cannot tell the free disk of '{}': {}", place.string(), std::strerror(errno));
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize) +
         bytes_on_disk(unfinished_folder(target));
}

std::vector<std::string> resource_problems(
    const std::vector<MergeSection>& sections,
    const std::map<std::filesystem::path, std::filesystem::path>& side_files,
    const std::filesystem::path& folder) {
  std::vector<std::string> problems;
  int64_t bytes = 0;
  for (const TensorInfo& info : result_layout(sections)) bytes += info.bytes();
  bytes += scratch_need(sections);
  for (const auto& [name, file] : side_files) {
    struct stat status {};
    if (::access(file.c_str(), R_OK) != 0 || ::stat(file.c_str(), &status) != 0)
      problems.push_back(fmt::format("cannot read '{}': {}", file.string(), std::strerror(errno)));
    bytes += status.st_size;
  }
  const int64_t available = free_disk(folder);
  if (bytes > available)
    problems.push_back(fmt::format("'{}': the result takes {} of disk, and {} are free",
                                   folder.string(), bytes_text(bytes), bytes_text(available)));
  const int64_t memory = memory_need(sections), allowed = sections.front().inputs.memory_bytes;
  if (allowed > 0 && memory > allowed)
    problems.push_back(
        fmt::format("{} does not work by parts of tensors and takes about "
                    "{}, more than the {} of memory that are allowed",
                    whole_tensors_method(sections), bytes_text(memory), bytes_text(allowed)));
  return problems;
}

void refuse(const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  if (problems.size() == 1) data_error("{}", problems.front());
  constexpr size_t kMaxShown = 40;
  const size_t shown = std::min(problems.size(), kMaxShown);
  data_error(
      "{} problems, found before any tensor was read:\n  {}{}", problems.size(),
      fmt::join(problems.begin(), problems.begin() + static_cast<int64_t>(shown), "\n  "),
      shown < problems.size() ? fmt::format("\n  and {} more", problems.size() - shown) : "");
}

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  constexpr double kStep = 1024;
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= kStep && unit + 1 < std::size(kUnits)) {
    value /= kStep;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace assay
