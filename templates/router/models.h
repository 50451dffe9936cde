// A language model of one block. Without a tokenizer its tokens are bytes.
#pragma once

#include "harness/model/architecture.h"

inline assay::Json small_llama() {
  return {{"model_type", "llama"},    {"vocab_size", 256},      {"hidden_size", 4},
          {"intermediate_size", 8},   {"num_hidden_layers", 1}, {"num_attention_heads", 2},
          {"num_key_value_heads", 1}, {"rms_norm_eps", 1e-6}};
}
