/// LoRA adapters in PEFT's folder format, applied to a model's tensors when these are read.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/internal/lora_config.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/core/json.h"

namespace assay {

/// The folder of an adapter when the path is one (adapter_config.json or adapter weights, and no
/// model's weights) or the file of its weights; else empty.
std::filesystem::path adapter_folder(const std::filesystem::path& path);

/// The base model's name in adapter_config.json; empty when there is none.
std::string adapter_base_name(const std::filesystem::path& folder);

/// The adapted model is what PEFT's merge_and_unload() returns: W + scale * B A, in float32,
/// rounded once to the dtype of W; full tensors that the adapter saved replace the model's. The sum
/// over the rank has a fixed order, so that no element depends on how the tensor is read.
class Adapter {
 public:
  /// For a model of these tensors and this config.json (or null). Reads the header of
  /// adapter_model.safetensors. UserError on kinds of adapter that LoraConfig rejects and on
  /// tensors that the model ties to others; DataError on files that are missing or broken and on
  /// tensors that do not fit the model. `model` names it in messages.
  Adapter(const std::filesystem::path& folder, const std::vector<TensorInfo>& tensors,
          const Json& config, const std::string& model);

  const std::filesystem::path& path() const { return folder_; }
  bool changes(const std::string& name) const { return changes_.contains(name); }
  /// Applies the adapter to elements [first, first + values.numel()) of the model's tensor.
  /// `values` is the full tensor, or a flattened part; the result has its shape.
  at::Tensor apply(const TensorInfo& tensor, int64_t first, const at::Tensor& values) const;
  /// As TensorSource::stamp().
  std::string stamp() const;

 private:
  struct Change {
    std::string replacement;  ///< the tensor that replaces the model's; empty: none
    std::string a, b;         ///< the factors; empty: none
    double scale = 0;
    bool transposed = false;  ///< the weight is (B A)^T
  };

  void add_replacement(const TensorInfo& stored, const TensorInfo& target);
  void add_product(const TensorInfo& a, const std::string& b_name, const std::string& layer,
                   const TensorInfo& target, bool transposed);
  const TensorInfo& stored(const std::string& name) const;
  at::Tensor read(const std::string& name) const;

  std::filesystem::path folder_, file_;
  LoraConfig lora_;
  std::shared_ptr<const SafetensorsFile> weights_;
  std::map<std::string, size_t> index_;    // of the adapter's tensors in its file
  std::map<std::string, Change> changes_;  // by the model's tensor
  bool conv1d_ = false;                    // weights are stored [in, out]
};

}  // namespace assay
