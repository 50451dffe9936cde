/// Encodes text to token ids and decodes ids to text, as the files of a model's folder define.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/files.h"
#include "harness/tokenizer/hf_json/input_template.h"

namespace assay {

class Tokenizer {
 public:
  /// From tokenizer.json, else a SentencePiece tokenizer.model (which adds BOS before a text, as
  /// Llama does) or spiece.model (EOS after it, as T5 does), with what tokenizer_config.json,
  /// special_tokens_map.json, added_tokens.json and the tokenizer's class in transformers set
  /// (docs/tokenizers.md). A folder without any tokenizer gets one token per byte, with a warning,
  /// where its config.json has no more than 256 tokens, or without one where tokenizer_config.json
  /// names the class ByteTokenizer; else it is rejected. Also from a GGUF file's metadata.
  /// DataError naming the file and the place when one is invalid or of an unknown kind.
  static std::shared_ptr<const Tokenizer> open(const fs::path& folder);

  virtual ~Tokenizer() = default;

  /// Bytes that are not UTF-8 are read as U+FFFD. `special`: with the special tokens that the
  /// post-processor adds around a text (its BOS, [CLS] ... [SEP]).
  virtual TokenIds encode(std::string_view text, bool special) const = 0;
  /// The post-processor's template of one text (as encode() uses when `special`) or of a pair, with
  /// token types. DataError when the tokenizer's files do not define pairs.
  virtual const InputTemplate& input_template(bool pair) const = 0;
  /// Two texts as one input of at most `max_tokens`: see InputTemplate::apply().
  TokenizedInput encode_pair(std::string_view first, std::string_view second,
                             int64_t max_tokens) const;
  /// `skip_special`: without special tokens.
  virtual std::string decode(const TokenIds& ids, bool skip_special) const = 0;

  /// Number of ids; ids are below it.
  virtual int64_t size() const = 0;
  virtual std::optional<TokenId> id(std::string_view token) const = 0;
  /// The token as written in the vocabulary. DataError when there is no such id.
  virtual std::string token(TokenId id) const = 0;

  // Absent where the model has no such token.
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual std::optional<TokenId> pad() const = 0;
  virtual std::optional<TokenId> unknown() const = 0;
  /// All tokens that end generation: eos() and those of generation_config.json and config.json.
  virtual TokenIds end_ids() const { return eos() ? TokenIds{*eos()} : TokenIds(); }
  /// How many end tokens encode() appends when `special`. A prompt must not contain them.
  virtual size_t ends_after_text() const { return 0; }
  /// tokenizer_config.json's model_max_length, unless that means "unbounded".
  virtual std::optional<int64_t> max_length() const = 0;
  /// A hash of everything that determines encode(), but not end_ids(); part of cache keys.
  virtual std::string hash() const = 0;
};

}  // namespace assay
