#include "harness/checkpoint/internal/adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "harness/checkpoint/heads.h"
#include "harness/checkpoint/internal/low_rank.h"
#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kFileName = "adapter_model.safetensors";
// Elements whose products are in memory at once. Small enough for LibTorch to stay on this thread:
// many threads may read tensors.
constexpr int64_t kChunk = 1 << 14;

// Architectures that use transformers' Conv1D layers: their weights are stored [in, out].
constexpr std::array kConv1d{"gpt2", "openai-gpt", "imagegpt", "decision_transformer"};

/// The name without its first component; empty when it has only one.
std::string without_first_component(const std::string& name) {
  const size_t dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

/// Finds a model's tensors by module name, with or without the model's own prefix ("model.",
/// "transformer.", "bert.").
class Targets {
 public:
  explicit Targets(const std::vector<TensorInfo>& tensors) {
    for (const TensorInfo& info : tensors) {
      whole_.emplace(info.name, &info);
      short_.emplace(without_first_component(info.name), &info);
    }
  }
  /// Null when there is none, or several.
  const TensorInfo* find(const std::string& name) const {
    if (const auto it = whole_.find(name); it != whole_.end()) return it->second;
    if (const auto it = whole_.find(without_first_component(name)); it != whole_.end())
      return it->second;
    return short_.count(name) == 1 ? short_.find(name)->second : nullptr;
  }

 private:
  std::map<std::string, const TensorInfo*> whole_;
  std::multimap<std::string, const TensorInfo*> short_;
};

bool is_conv1d(const Json& config) {
  const auto it = config.is_object() ? config.find("model_type") : config.end();
  return it != config.end() && std::find(kConv1d.begin(), kConv1d.end(), *it) != kConv1d.end();
}

Json read_config(const fs::path& folder) {
  if (!fs::exists(folder / kConfigName))
    data_error("'{}' is not an adapter: it has no {}", folder.string(), kConfigName);
  return read_json(folder / kConfigName);
}

void cut(std::string& name, const std::string& part) {
  const size_t at = name.find(part);
  if (at != std::string::npos) name.erase(at, part.size());
}

}  // namespace

fs::path adapter_folder(const fs::path& path) {
  std::error_code ignored;
  const auto there = [&](const fs::path& file) { return fs::exists(file, ignored); };
  if (path.filename() == kFileName && there(path.parent_path() / kConfigName))
    return path.parent_path();
  const bool adapter = there(path / kConfigName) || there(path / kFileName);
  return adapter && !there(path / kWeightsName) && !there(path / kIndexName) ? path : fs::path();
}

std::string adapter_base_name(const fs::path& folder) {
  const Json config = read_config(folder);
  const auto it = config.is_object() ? config.find("base_model_name_or_path") : config.end();
  return it != config.end() && it->is_string() ? it->get<std::string>() : "";
}

Adapter::Adapter(const fs::path& folder, const std::vector<TensorInfo>& tensors, const Json& config,
                 const std::string& model)
    : folder_(folder),
      file_(folder / kFileName),
      lora_(read_config(folder), (folder / kConfigName).string()),
      conv1d_(config.is_object() ? is_conv1d(config) : lora_.transposed()) {
  if (!fs::exists(file_))
    data_error("'{}' has no {}{}", folder.string(), kFileName,
               fs::exists(folder / "adapter_model.bin")
                   ? "; adapter_model.bin is not read: save the adapter with PEFT's "
                     "save_pretrained(safe_serialization=True)"
                   : "");
  weights_ = SafetensorsFile::open(file_);
  for (size_t i = 0; i < weights_->tensors().size(); ++i) index_[weights_->tensors()[i].name] = i;

  const Targets targets(tensors);
  const bool tied = ties_embeddings(config).value_or(false);
  const auto target = [&](const std::string& name, const std::string& stored) -> const TensorInfo& {
    const TensorInfo* found = targets.find(name);
    if (!found) data_error("{}: '{}' matches no tensor of {}", file_.string(), stored, model);
    if (tied && (is_head(found->name) || is_embedding(found->name)))
      user_error(
          "{}: '{}' changes '{}', and {} ties embedding "
          "and head: it is ambiguous which of them is meant",
          file_.string(), stored, found->name, model);
    if (!c10::isFloatingType(found->dtype) || c10::elementSize(found->dtype) < 2)
      data_error("{}: '{}' changes '{}', which {} stores as {}; floating weights can be adapted",
                 file_.string(), stored, found->name, model, dtype_name(found->dtype));
    return *found;
  };
  struct Form {
    std::string a, b;
    bool transposed;
  };
  const Form forms[] = {{".lora_A.weight", ".lora_B.weight", conv1d_},
                        {".lora_embedding_A", ".lora_embedding_B", true}};
  for (const TensorInfo& info : weights_->tensors()) {
    std::string name = info.name;
    for (const std::string_view start : {"base_model.model.", "base_model."})
      if (name.starts_with(start)) {
        name.erase(0, start.size());
        break;
      }
    const Form* form = nullptr;
    bool second = false;  // B is read with its A
    for (const Form& candidate : forms) {
      if (name.ends_with(candidate.a)) form = &candidate;
      second |=
          name.ends_with(candidate.b) &&
          index_.contains(info.name.substr(0, info.name.size() - candidate.b.size()) + candidate.a);
    }
    if (second) continue;
    if (form) {
      const std::string layer = name.substr(0, name.size() - form->a.size());
      add_product(info, info.name.substr(0, info.name.size() - form->a.size()) + form->b, layer,
                  target(layer + ".weight", info.name), form->transposed);
    } else {
      cut(name, ".base_layer");
      cut(name, ".modules_to_save");
      add_replacement(info, target(name, info.name));
    }
  }
}

void Adapter::add_replacement(const TensorInfo& stored, const TensorInfo& target) {
  if (stored.shape != target.shape)
    data_error("{}: '{}' has shape {}, the model's '{}' {}", file_.string(), stored.name,
               shape_text(stored.shape), target.name, shape_text(target.shape));
  changes_[target.name].replacement = stored.name;
}

void Adapter::add_product(const TensorInfo& a, const std::string& b_name, const std::string& layer,
                          const TensorInfo& target, bool transposed) {
  const TensorInfo& b = stored(b_name);
  const int64_t rank = lora_.rank(layer);
  if (a.shape.size() != 2 || b.shape.size() != 2 || a.shape[0] != b.shape[1])
    data_error("{}: {}: A {} and B {} do not multiply", file_.string(), layer, shape_text(a.shape),
               shape_text(b.shape));
  if (a.shape[0] != rank)
    data_error("{}: {} has rank {}, but adapter_config.json says {}", file_.string(), layer,
               a.shape[0], rank);
  if (!lora_.targets(layer))
    data_error("{}: '{}' is of a layer that target_modules of adapter_config.json does not name",
               file_.string(), a.name);
  const std::vector<int64_t> straight{b.shape[0], a.shape[1]}, turned{a.shape[1], b.shape[0]};
  if (target.shape != straight && target.shape != turned)
    data_error("{}: the update of {} has shape {}, the model's weight {}", file_.string(), layer,
               shape_text(straight), shape_text(target.shape));
  Change& change = changes_[target.name];
  if (!change.a.empty())
    data_error("{}: '{}' and '{}' both change '{}'", file_.string(), change.a, a.name, target.name);
  change.a = a.name;
  change.b = b.name;
  change.scale = lora_.scale(layer);
  // The shapes decide where they can: a head next to Conv1D layers is not a Conv1D.
  change.transposed = straight == turned ? transposed : target.shape == turned;
}

const TensorInfo& Adapter::stored(const std::string& name) const {
  const auto it = index_.find(name);
  if (it == index_.end()) data_error("{}: tensor '{}' is missing", file_.string(), name);
  return weights_->tensors()[it->second];
}

at::Tensor Adapter::read(const std::string& name) const { return weights_->read(index_.at(name)); }

at::Tensor Adapter::apply(const TensorInfo& tensor, int64_t first, const at::Tensor& values) const {
  const auto found = changes_.find(tensor.name);
  if (found == changes_.end()) return values;
  const Change& change = found->second;
  const int64_t count = values.numel();
  at::Tensor before = values.flatten();
  if (!change.replacement.empty())
    before = elements(read(change.replacement), first, count).to(tensor.dtype);
  if (change.a.empty()) return before.view(values.sizes());
  const at::Tensor a = read(change.a), b = read(change.b);
  const at::Tensor left = change.transposed ? a.t() : b;
  const at::Tensor right = (change.transposed ? b.t() : a).to(at::kFloat).contiguous();
  const at::ScalarType sum = tensor.dtype == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor after = at::empty({count}, tensor.dtype);
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t some = std::min(kChunk, count - begin);
    const at::Tensor update = low_rank_part(left, right, change.scale, first + begin, some);
    after.narrow(0, begin, some).copy_(before.narrow(0, begin, some).to(sum) + update);
  }
  return after.view(values.sizes());
}

std::string Adapter::stamp() const {
  return Hasher()
      .text(canonical(read_config(folder_)))
      .number(fs::file_size(file_))
      .number(static_cast<uint64_t>(fs::last_write_time(file_).time_since_epoch().count()))
      .hex();
}

}  // namespace assay
