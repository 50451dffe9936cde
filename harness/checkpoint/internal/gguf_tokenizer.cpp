#include "harness/checkpoint/internal/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "harness/checkpoint/internal/gguf_metadata.h"
#include "harness/core/error.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

constexpr const char* kSpace = "\u2581";  // SentencePiece's sign

// Kinds of tokens, as SentencePiece numbers them.
enum class Kind { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };

/// What splits a text before BPE, by the name that llama.cpp gives it.
struct PreTokenizer {
  const char* name;
  enum class Form { kGpt2, kDigits, kLlama3, kQwen2 } form;
  bool composed = false;        ///< texts are normalized to NFC
  bool ignores_merges = false;  ///< a word that is a token needs no merges
};
using Form = PreTokenizer::Form;
constexpr PreTokenizer kPreTokenizers[] = {
    {"gpt-2", Form::kGpt2},
    {"phi-2", Form::kGpt2},
    {"mpt", Form::kGpt2, true},
    {"olmo", Form::kGpt2, true},
    {"smollm", Form::kDigits},
    {"starcoder", Form::kDigits},
    {"refact", Form::kDigits},
    {"command-r", Form::kDigits},
    {"llama-bpe", Form::kLlama3, false, true},
    {"llama3", Form::kLlama3, false, true},
    {"llama-v3", Form::kLlama3, false, true},
    {"dbrx", Form::kLlama3},
    {"smaug-bpe", Form::kLlama3},
    {"qwen2", Form::kQwen2, true},
    {"deepseek-r1-qwen", Form::kQwen2, true},
    {"stablelm2", Form::kQwen2},
};

const PreTokenizer& pre_tokenizer(const GgufMetadata& metadata) {
  const std::string name = metadata.optional_text("tokenizer.ggml.pre").value_or("");
  std::vector<std::string> known;
  for (const PreTokenizer& one : kPreTokenizers) {
    if (one.name == name) return one;
    known.emplace_back(one.name);
  }
  throw DataError(
      unknown_name("pre-tokenizer", name, metadata.file() + ": tokenizer.ggml.pre", known));
}

Json byte_level(bool splits) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits}};
}

Json pre_tokenizer_stage(Form form) {
  if (form == Form::kGpt2) return byte_level(true);
  if (form == Form::kDigits)
    return {
        {"type", "Sequence"},
        {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}}};
  const std::string pattern =
      std::string(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)") +
      (form == Form::kLlama3 ? R"(\p{N}{1,3})" : R"(\p{N})") +
      R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", pattern}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            byte_level(false)}}};
}

class TokenizerMaker {
 public:
  TokenizerMaker(const GgufHeader& header, const std::string& file) : metadata_(header, file) {}

  std::map<std::string, std::string> run() {
    const auto model = metadata_.optional_text("tokenizer.ggml.model");
    if (!model || *model == "none" || *model == "no_vocab") return {};
    read_tokens();
    if (*model == "gpt2")
      byte_level_bpe();
    else if (*model == "llama")
      sentence_piece_bpe();
    else
      data_error(
          "{}: the tokenizer '{}' (tokenizer.ggml.model) is not supported; gpt2 (BPE) and llama "
          "(SentencePiece) are",
          metadata_.file(), *model);
    tokenizer_["version"] = "1.0";
    tokenizer_["truncation"] = nullptr;
    tokenizer_["padding"] = nullptr;
    tokenizer_["added_tokens"] = added_tokens();
    tokenizer_["post_processor"] = post_processor(*model == "llama");
    std::map<std::string, std::string> files{{"tokenizer.json", tokenizer_.dump() + "\n"},
                                             {"tokenizer_config.json", settings().dump(2) + "\n"}};
    if (const Json ends = end_tokens(); ends.size() > 1)
      files["generation_config.json"] = Json{{"eos_token_id", ends}}.dump(2) + "\n";
    return files;
  }

 private:
  void read_tokens() {
    tokens_ = metadata_.texts("tokenizer.ggml.tokens");
    if (metadata_.find("tokenizer.ggml.token_type"))
      for (const Json& kind : metadata_.list("tokenizer.ggml.token_type"))
        kinds_.push_back(kind.is_number_integer() ? static_cast<Kind>(kind.get<int64_t>())
                                                  : Kind::kNormal);
    else
      kinds_.assign(tokens_.size(), Kind::kNormal);
    if (kinds_.size() != tokens_.size())
      data_error("{}: {} tokens, but {} types of tokens", metadata_.file(), tokens_.size(),
                 kinds_.size());
    for (size_t id = 0; id < tokens_.size(); ++id)
      if (!ids_.emplace(tokens_[id], id).second)
        data_error("{}: two tokens are '{}'", metadata_.file(), tokens_[id]);
  }

  Json vocabulary() const {
    Json vocabulary = Json::object();
    for (size_t id = 0; id < tokens_.size(); ++id) vocabulary[tokens_[id]] = id;
    return vocabulary;
  }

  void byte_level_bpe() {
    const PreTokenizer& pre = pre_tokenizer(metadata_);
    Json merges = Json::array();
    for (const std::string& merge : metadata_.texts("tokenizer.ggml.merges")) {
      // The space of a merge is the first one after its first character.
      const size_t space = merge.find(' ', 1);
      if (space == std::string::npos)
        data_error("{}: the merge '{}' does not name two tokens", metadata_.file(), merge);
      merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
    }
    tokenizer_["normalizer"] = pre.composed ? Json{{"type", "NFC"}} : Json();
    tokenizer_["pre_tokenizer"] = pre_tokenizer_stage(pre.form);
    tokenizer_["decoder"] = byte_level(true);
    tokenizer_["model"] = {{"type", "BPE"},
                           {"vocab", vocabulary()},
                           {"merges", std::move(merges)},
                           {"unk_token", nullptr},
                           {"dropout", nullptr},
                           {"byte_fallback", false},
                           {"fuse_unk", false},
                           {"ignore_merges", pre.ignores_merges},
                           {"continuing_subword_prefix", nullptr},
                           {"end_of_word_suffix", nullptr}};
  }

  void sentence_piece_bpe() {
    const bool prefix = metadata_.optional_flag("tokenizer.ggml.add_space_prefix").value_or(true);
    Json normalizers = Json::array();
    if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    normalizers.push_back(
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}});
    Json decoders =
        Json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                     {{"type", "ByteFallback"}},
                     {{"type", "Fuse"}}});
    if (prefix)
      decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    tokenizer_["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
    tokenizer_["pre_tokenizer"] = nullptr;
    tokenizer_["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
    const auto unknown = special("unknown");
    tokenizer_["model"] = {{"type", "BPE"},
                           {"vocab", vocabulary()},
                           {"merges", merges_of_scores()},
                           {"unk_token", unknown ? Json(tokens_[*unknown]) : Json()},
                           {"dropout", nullptr},
                           {"byte_fallback", true},
                           {"fuse_unk", true},
                           {"ignore_merges", false},
                           {"continuing_subword_prefix", nullptr},
                           {"end_of_word_suffix", nullptr}};
  }

  /// SentencePiece joins the neighbours whose joined piece has the highest score; a list of merges
  /// in the order of these scores does the same.
  Json merges_of_scores() const {
    struct Merge {
      double score;
      std::string_view left, right;
      size_t left_id, right_id, left_size, right_size;
    };
    const Json& scores = metadata_.list("tokenizer.ggml.scores");
    if (scores.size() != tokens_.size())
      data_error("{}: {} tokens, but {} scores", metadata_.file(), tokens_.size(), scores.size());
    std::vector<Merge> merges;
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (kinds_[id] != Kind::kNormal) continue;
      const std::string_view token = tokens_[id];
      if (token.size() > kMaxTokenBytes)
        data_error("{}: token {} has {} bytes", metadata_.file(), id, token.size());
      const auto first = static_cast<std::ptrdiff_t>(merges.size());
      for (size_t cut = 1; cut < token.size(); ++cut) {
        if (!starts_character(token[cut])) continue;
        const std::string_view left = token.substr(0, cut), right = token.substr(cut);
        const auto l = ids_.find(left), r = ids_.find(right);
        if (l == ids_.end() || r == ids_.end()) continue;
        merges.push_back({scores[id].is_number() ? scores[id].get<double>() : 0, left, right,
                          l->second, r->second, count_characters(left), count_characters(right)});
      }
      std::sort(merges.begin() + first, merges.end(), [](const Merge& a, const Merge& b) {
        return std::pair(a.left_id, a.right_id) < std::pair(b.left_id, b.right_id);
      });
    }
    std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
      return std::tuple(a.score, a.left_size, a.right_size) >
             std::tuple(b.score, b.left_size, b.right_size);
    });
    Json list = Json::array();
    for (const Merge& merge : merges) list.push_back({merge.left, merge.right});
    return list;
  }

  Json added_tokens() const {
    Json added = Json::array();
    for (size_t id = 0; id < tokens_.size(); ++id)
      if (kinds_[id] == Kind::kControl || kinds_[id] == Kind::kUser || kinds_[id] == Kind::kUnknown)
        added.push_back({{"id", id},
                         {"content", tokens_[id]},
                         {"special", kinds_[id] != Kind::kUser},
                         {"normalized", false},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false}});
    return added;
  }

  /// The id under tokenizer.ggml.NAME_token_id.
  std::optional<size_t> special(const std::string& name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const auto id = metadata_.optional_integer(key);
    if (!id) return std::nullopt;
    if (*id < 0 || static_cast<size_t>(*id) >= tokens_.size())
      data_error("{}: {} is {}, but there are {} tokens", metadata_.file(), key, *id,
                 tokens_.size());
    return static_cast<size_t>(*id);
  }

  /// BOS before and EOS after a text, as far as the file asks for them.
  Json post_processor(bool bos_by_default) const {
    const auto bos = special("bos"), eos = special("eos");
    const bool add_bos =
        metadata_.optional_flag("tokenizer.ggml.add_bos_token").value_or(bos_by_default) && bos;
    const bool add_eos =
        metadata_.optional_flag("tokenizer.ggml.add_eos_token").value_or(false) && eos;
    if (!add_bos && !add_eos) return byte_level(true);
    Json single = Json::array(), pair = Json::array(), special_tokens = Json::object();
    const auto add_token = [&](Json& list, size_t id, int type) {
      const std::string& token = tokens_[id];
      list.push_back({{"SpecialToken", {{"id", token}, {"type_id", type}}}});
      special_tokens[token] = {
          {"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
    };
    for (const int type : {0, 1}) {
      for (Json* list : {&single, &pair}) {
        if (type == 1 && list == &single) continue;
        if (add_bos) add_token(*list, *bos, type);
        list->push_back({{"Sequence", {{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}});
        if (add_eos) add_token(*list, *eos, type);
      }
    }
    return {{"type", "TemplateProcessing"},
            {"single", single},
            {"pair", pair},
            {"special_tokens", special_tokens}};
  }

  Json settings() const {
    Json settings{{"tokenizer_class", "PreTrainedTokenizerFast"}};
    for (const auto& [key, name] :
         {std::pair("bos", "bos_token"), std::pair("eos", "eos_token"),
          std::pair("unknown", "unk_token"), std::pair("padding", "pad_token")})
      if (const auto id = special(key)) settings[name] = tokens_[*id];
    if (const auto chat = metadata_.optional_text("tokenizer.chat_template"))
      settings["chat_template"] = *chat;
    return settings;
  }

  /// Tokens that end a text or a turn of a chat.
  Json end_tokens() const {
    Json ends = Json::array();
    for (const char* name : {"eos", "eot", "eom"})
      if (const auto id = special(name);
          id && std::find(ends.begin(), ends.end(), *id) == ends.end())
        ends.push_back(*id);
    return ends;
  }

  static constexpr size_t kMaxTokenBytes = 4096;

  GgufMetadata metadata_;
  std::vector<std::string> tokens_;
  std::vector<Kind> kinds_;
  std::unordered_map<std::string_view, size_t> ids_;
  Json tokenizer_ = Json::object();
};

}  // namespace

std::map<std::string, std::string> gguf_tokenizer_files(const GgufHeader& header,
                                                        const std::string& file) {
  return TokenizerMaker(header, file).run();
}

}  // namespace assay
