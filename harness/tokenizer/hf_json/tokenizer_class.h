/// Tokenizer classes of transformers (5.x): their default special tokens, and the stages that they
/// override in tokenizer.json.
#pragma once

#include <string>
#include <string_view>

#include "harness/core/json.h"

namespace assay {

struct TokenizerSettings;

struct TokenizerClass {
  /// The stage that the class overrides.
  enum class Override {
    kNothing,
    kPrefixSpace,         ///< ByteLevel's add_prefix_space, false unless the configuration sets it
    kPrefixSpaceAndEnds,  ///< likewise, and adds no special tokens
    kLlamaPrefix,         ///< the space symbol before a text, or before each of its parts
    kBertNormalizer       ///< the configuration's rules for case, accents and ideographs
  };
  std::string_view name;  ///< without "Fast"; empty: the files alone decide
  std::string_view bos{}, eos{}, pad{}, unknown{};  ///< empty: none
  Override override_kind = Override::kNothing;
};

/// The class that AutoTokenizer chooses: "tokenizer_class" of tokenizer_config.json or config.json,
/// or the class of config.json's "model_type". `byte_level`: tokenizer.json splits into bytes.
const TokenizerClass& tokenizer_class(const TokenizerSettings& settings, bool byte_level);

/// Whether a tokenizer.json splits into bytes.
bool is_byte_level(const Json& tokenizer);

/// Replaces the stages that the class overrides in the content of a tokenizer.json.
void override_stages(const TokenizerClass& hf_class, const TokenizerSettings& settings,
                     Json& tokenizer);

/// Where Llama's class prepends the space symbol, as Metaspace's "prepend_scheme": before the first
/// part of a text, before every part between special tokens ("legacy"), or nowhere.
std::string_view llama_prefix(const TokenizerSettings& settings);

}  // namespace assay
