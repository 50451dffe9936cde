/// Opens models from their folders.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/language.h"

namespace assay {

struct OpenOptions {
  std::vector<at::Device> devices{at::kCPU};  ///< several: see load_placed()
  std::optional<at::ScalarType> dtype;        ///< see compute_dtype()
};

/// The architecture that config.json names. DataError when there is no config.json, UserError when
/// Assay does not know the architecture.
std::shared_ptr<const Architecture> architecture_of(const Checkpoint& checkpoint);

/// What computes a model's scores from its weights.
struct Computation {
  std::shared_ptr<const Architecture> architecture;
  std::shared_ptr<const Tokenizer> tokenizer;  ///< null unless the inputs are texts
};

/// Errors as architecture_of() and Tokenizer::open().
Computation open_computation(const Checkpoint& checkpoint);

/// A hash of config.json and of the tokenizer, if any. Together with the weights it determines a
/// model's outputs.
std::string computation_hash(const Architecture& architecture, const Tokenizer* tokenizer);

/// A model of any architecture, without its tokenizer.
struct OpenModel {
  std::shared_ptr<const Architecture> architecture;
  StateDict weights;
  std::string weights_hash;  ///< content hash, the adapter's included
};

/// The dtype of computation: `requested`; else float32 on the CPU, where other dtypes are slow and
/// imprecise, and on other devices the stored dtype of the largest tensor. UserError unless it is
/// float32, bfloat16 or float16.
at::ScalarType compute_dtype(std::optional<at::ScalarType> requested, at::Device device,
                             const TensorSource& weights);

/// The model of a folder with config.json and safetensors, with its adapter merged if there is one.
/// Weights stay memory-mapped where the stored dtype and device need no change. Errors as
/// architecture_of(); DataError when files are missing or broken.
OpenModel open_model(const ModelPath& path, const OpenOptions& options);

/// Likewise a decoder-only language model with the folder's tokenizer. UserError when it is of
/// another kind.
LanguageModel open_language_model(const ModelPath& path, const OpenOptions& options);

}  // namespace assay
