/// Models from their folders.
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
/// it is not that of an architecture that Assay knows.
std::shared_ptr<const Architecture> architecture_of(const Checkpoint& checkpoint);

/// How a folder's model works out scores with its weights.
struct Computation {
  std::shared_ptr<const Architecture> architecture;
  std::shared_ptr<const Tokenizer> tokenizer;  ///< null unless its inputs are texts
};

/// Errors as architecture_of() and Tokenizer::open().
Computation open_computation(const Checkpoint& checkpoint);

/// Of config.json and of the tokenizer, where there is one: with the weights it determines what a
/// model answers.
std::string computation_hash(const Architecture& architecture, const Tokenizer* tokenizer);

/// A model of any architecture, without its tokenizer.
struct OpenModel {
  std::shared_ptr<const Architecture> architecture;
  StateDict weights;
  std::string weights_hash;  ///< content hash, the adapter's included
};

/// What a model computes in: `requested`, else float32 on the CPU, which is slow and coarse in
/// other types, and elsewhere what the largest of the tensors is stored in. UserError unless that
/// is float32, bfloat16 or float16.
at::ScalarType compute_dtype(std::optional<at::ScalarType> requested, at::Device device,
                             const TensorSource& weights);

/// The model of a folder with config.json and safetensors, and of its adapter where there is one.
/// Weights stay memory-mapped where neither dtype nor device differ from what is stored. Errors as
/// architecture_of(); DataError when files are missing or broken.
OpenModel open_model(const ModelPath& path, const OpenOptions& options);

/// Likewise a decoder-only language model with the folder's tokenizer. UserError when it is another
/// kind of model.
LanguageModel open_language_model(const ModelPath& path, const OpenOptions& options);

}  // namespace assay
