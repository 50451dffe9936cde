/// What config.json says of embeddings and heads, at its top or, for models of text and images, in
/// its text_config.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// The part about the language model: the nested one where there is one. null for no config.
const Json& text_config(const Json& config);

/// Whether head and embedding are one tensor: "tie_word_embeddings", else the default of
/// transformers 5 for the "model_type". Absent where neither says it.
std::optional<bool> ties_embeddings(const Json& config);

/// Numbers of rows that an embedding may have by it, of both parts.
std::vector<int64_t> vocab_sizes(const Json& config);
/// Sets them wherever the config says one.
void set_vocab_size(Json& config, int64_t rows);

}  // namespace assay
