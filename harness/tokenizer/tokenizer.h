/// Text to token ids and back, as the files of a model's folder define it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/files.h"
#include "harness/tokenizer/hf_json/arrangement.h"

namespace assay {

class Tokenizer {
 public:
  /// From tokenizer.json, else a SentencePiece tokenizer.model (which puts BOS before a text, as
  /// Llama does) or spiece.model (EOS after it, as T5 does), with what tokenizer_config.json,
  /// special_tokens_map.json, added_tokens.json and the tokenizer's class in transformers say
  /// (docs/tokenizers.md). A folder without any tokenizer gets one token per byte, with a warning,
  /// where its config.json has no more than 256 tokens, or without one where tokenizer_config.json
  /// names the class ByteTokenizer; else it is refused. DataError naming the file and the place
  /// when one is broken or of a kind that is not known.
  static std::shared_ptr<const Tokenizer> open(const fs::path& folder);

  virtual ~Tokenizer() = default;

  /// Bytes that are no UTF-8 count as U+FFFD. `special`: with the tokens that the model's own
  /// post-processor puts around a text (its BOS, [CLS] ... [SEP]).
  virtual TokenIds encode(std::string_view text, bool special) const = 0;
  /// Where the model's own post-processor puts the tokens of one text (as encode() does when
  /// `special`) or of a pair, and which token types it gives them. DataError when the tokenizer's
  /// files do not say how a pair stands.
  virtual const Arrangement& arrangement(bool pair) const = 0;
  /// Two texts as one input of at most `max_tokens`: see Arrangement::arrange().
  ArrangedTokens encode_pair(std::string_view first, std::string_view second,
                             int64_t max_tokens) const;
  /// `skip_special`: without special tokens.
  virtual std::string decode(const TokenIds& ids, bool skip_special) const = 0;

  /// Number of ids; ids are below it.
  virtual int64_t size() const = 0;
  virtual std::optional<TokenId> id(std::string_view token) const = 0;
  /// As it stands in the vocabulary. DataError when there is no such id.
  virtual std::string token(TokenId id) const = 0;

  // Nothing where the model has no such token.
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual std::optional<TokenId> pad() const = 0;
  virtual std::optional<TokenId> unknown() const = 0;
  /// All tokens that end what a model writes: eos() and those that its generation_config.json and
  /// config.json name.
  virtual TokenIds end_ids() const { return eos() ? TokenIds{*eos()} : TokenIds(); }
  /// How many of those encode() puts after a text when `special`. A text that is to go on has none.
  virtual size_t ends_after_text() const { return 0; }
  /// tokenizer_config.json's model_max_length, unless it stands for "unbounded".
  virtual std::optional<int64_t> max_length() const = 0;
  /// Of everything that determines encode(), not of end_ids(); part of cache keys.
  virtual std::string hash() const = 0;
};

}  // namespace assay
