/// A GGUF file's tokenizer as the files of a Hugging Face folder.
#pragma once

#include <map>
#include <string>

#include "harness/checkpoint/gguf.h"

namespace assay {

/// tokenizer.json, tokenizer_config.json and, where there are several end tokens,
/// generation_config.json, by name; empty when the metadata have no tokenizer. DataError on kinds
/// of tokenizer that are not supported: BPE with a known pre-tokenizer ("gpt2") and SentencePiece's
/// BPE ("llama") are.
std::map<std::string, std::string> gguf_tokenizer_files(const GgufHeader& header,
                                                        const std::string& file);

}  // namespace assay
