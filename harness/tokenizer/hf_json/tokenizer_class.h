/// What the class of a tokenizer in transformers (5.x) settles: special tokens that the model's
/// files do not name, and stages that it makes itself, whatever tokenizer.json says.
#pragma once

#include <string>
#include <string_view>

#include "harness/core/json.h"

namespace assay {

struct TokenizerSettings;

struct TokenizerClass {
  /// A stage that the class makes.
  enum class Makes {
    kNothing,
    kPrefixSpace,         ///< ByteLevel's add_prefix_space, false unless the configuration says so
    kPrefixSpaceAndEnds,  ///< likewise, and puts no tokens around a text
    kLlamaPrefix,         ///< the sign of a space before a text, or before each of its parts
    kBertNormalizer       ///< what the configuration says about case, accents and ideographs
  };
  std::string_view name;  ///< without "Fast"; empty where everything is as the files say
  std::string_view bos{}, eos{}, pad{}, unknown{};  ///< empty: it has none
  Makes makes = Makes::kNothing;
};

/// The class that AutoTokenizer takes: "tokenizer_class" of tokenizer_config.json or config.json,
/// or what config.json's "model_type" stands for. `byte_level`: tokenizer.json splits into bytes.
const TokenizerClass& tokenizer_class(const TokenizerSettings& settings, bool byte_level);

/// Whether a tokenizer.json splits into bytes.
bool is_byte_level(const Json& tokenizer);

/// Puts the stages that the class makes into the content of a tokenizer.json.
void put_stages_of_class(const TokenizerClass& made_by, const TokenizerSettings& settings,
                         Json& tokenizer);

/// Where Llama's class puts a space's sign, as Metaspace's "prepend_scheme": before the first part
/// of a text, before every part between special tokens ("legacy"), or nowhere.
std::string_view llama_prefix(const TokenizerSettings& settings);

}  // namespace assay
