/// Embeddings and heads in config.json: at its top level or, for models of text and images, in its
/// text_config.
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

}  // namespace assay
