/// By what it is told that models have one tokenizer.
#pragma once

#include <map>
#include <string>

#include "harness/checkpoint/checkpoint.h"

namespace assay {

/// Hashes of the tokenizer's files that a model has, by name; of tokenizer_config.json what says
/// something about ids.
std::map<std::string, std::string> tokenizer_hashes(const Checkpoint& model);

/// Whether both have one, and these differ.
bool have_different_tokenizers(const Checkpoint& one, const Checkpoint& other);

}  // namespace assay
