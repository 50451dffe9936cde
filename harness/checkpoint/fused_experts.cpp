#include "harness/checkpoint/fused_experts.h"

#include <algorithm>
#include <map>

#include "harness/core/error.h"

namespace assay {
namespace {

/// Where a family's published checkpoints have an expert's matrices.
struct ExpertNames {
  std::string_view layer;           ///< within a block, in place of "mlp."
  std::string_view gate, up, down;  ///< an expert's
};

constexpr std::string_view kLayer = "mlp.", kGateUp = "mlp.experts.gate_up_proj",
                           kDown = "mlp.experts.down_proj", kRouter = "mlp.gate.weight";

const ExpertNames* names_of(const Json& config) {
  static const ExpertNames mixtral{"block_sparse_moe.", "w1", "w3", "w2"};
  static const ExpertNames llama_like{"mlp.", "gate_proj", "up_proj", "down_proj"};
  static const std::map<std::string, const ExpertNames*> all{{"mixtral", &mixtral},
                                                             {"olmoe", &llama_like},
                                                             {"qwen2_moe", &llama_like},
                                                             {"qwen3_moe", &llama_like}};
  if (!config.is_object()) return nullptr;
  const auto found = all.find(config.value("model_type", ""));
  return found == all.end() ? nullptr : found->second;
}

/// A part of a tensor of the file.
struct ExpertView {
  TensorInfo info;
  size_t of = 0;      ///< index of the tensor in the file
  int64_t first = 0;  ///< its first element there
};

class SeparateExperts final : public TensorFile {
 public:
  SeparateExperts(std::shared_ptr<const TensorFile> file, const ExpertNames& names,
                  const std::string& where)
      : file_(std::move(file)), names_(names) {
    for (size_t i = 0; i < file_->tensors().size(); ++i) add(i, where);
    std::sort(views_.begin(), views_.end(),
              [](const ExpertView& a, const ExpertView& b) { return a.info.name < b.info.name; });
    for (const ExpertView& view : views_) infos_.push_back(view.info);
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const override {
    const ExpertView& view = views_.at(index);
    return file_->read_part(view.of, view.first + first, count);
  }
  void prefetch(size_t index, int64_t first, int64_t count) const override {
    const ExpertView& view = views_.at(index);
    file_->prefetch(view.of, view.first + first, count);
  }
  void release(size_t index, int64_t first, int64_t count) const override {
    const ExpertView& view = views_.at(index);
    file_->release(view.of, view.first + first, count);
  }

 private:
  void add(size_t index, const std::string& where) {
    const TensorInfo& info = file_->tensors()[index];
    if (info.name.ends_with(kGateUp)) return split(index, kGateUp, {names_.gate, names_.up}, where);
    if (info.name.ends_with(kDown)) return split(index, kDown, {names_.down}, where);
    ExpertView view{info, index};
    if (info.name.ends_with(kRouter)) {
      const size_t layer = info.name.size() - kRouter.size();
      view.info.name.replace(layer, kLayer.size(), names_.layer);
    }
    views_.push_back(std::move(view));
  }

  void split(size_t index, std::string_view end, const std::vector<std::string_view>& parts,
             const std::string& where) {
    const TensorInfo& info = file_->tensors()[index];
    const auto count = static_cast<int64_t>(parts.size());
    if (info.shape.size() != 3 || info.shape[1] % count != 0)
      data_error("{}: the experts' tensor '{}' {} is not [experts, {}rows, columns]", where,
                 info.name, shape_text(info.shape), count > 1 ? "2 * " : "");
    const std::string block = info.name.substr(0, info.name.size() - end.size());
    const std::vector<int64_t> shape{info.shape[1] / count, info.shape[2]};
    int64_t first = 0;
    for (int64_t expert = 0; expert < info.shape[0]; ++expert)
      for (const std::string_view part : parts) {
        views_.push_back(
            {{fmt::format("{}{}experts.{}.{}.weight", block, names_.layer, expert, part),
              info.dtype, shape},
             index,
             first});
        first += shape[0] * shape[1];
      }
  }

  std::shared_ptr<const TensorFile> file_;
  ExpertNames names_;
  std::vector<ExpertView> views_;
  std::vector<TensorInfo> infos_;
};

}  // namespace

std::shared_ptr<const TensorFile> separate_experts(std::shared_ptr<const TensorFile> file,
                                                   const Json& config, const std::string& where) {
  const ExpertNames* names = names_of(config);
  if (!names) return file;
  // A shard may have a router, but none of the experts.
  const bool fused =
      std::any_of(file->tensors().begin(), file->tensors().end(), [&](const TensorInfo& info) {
        return info.name.ends_with(kGateUp) || info.name.ends_with(kDown) ||
               (names->layer != kLayer && info.name.ends_with(kRouter));
      });
  if (!fused) return file;
  return std::make_shared<SeparateExperts>(std::move(file), *names, where);
}

}  // namespace assay
