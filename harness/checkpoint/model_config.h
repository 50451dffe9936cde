/// Embeddings, heads and layers in config.json: at its top level or, for models of text and images,
/// in its text_config.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// The language model's config: the nested one where there is one. null for no config.
const Json& text_config(const Json& config);

/// Whether head and embedding are one tensor: "tie_word_embeddings", else the default of
/// transformers 5 for the "model_type". Absent where neither is known.
std::optional<bool> ties_embeddings(const Json& config);

/// The vocabulary sizes that the config gives, at its top level and in its text_config.
std::vector<int64_t> vocab_sizes(const Json& config);
/// Sets the size wherever the config gives one.
void set_vocab_size(Json& config, int64_t rows);

/// The number of layers that the config gives for its language model. Absent where it gives none,
/// as for models of several stacks (an encoder and a decoder).
std::optional<int64_t> layer_count(const Json& config);

/// A layer of a model with this config.
struct LayerOrigin {
  const Json* config;
  int64_t layer;
};
/// Sets the number of layers, and in lists of one entry per layer (layer_types, ...) the entries of
/// these layers. DataError when a model's config does not have a list that `config` has.
void set_layers(Json& config, const std::vector<LayerOrigin>& layers);

}  // namespace assay
