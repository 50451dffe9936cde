#include "harness/tokenizer/hf_json/metaspace.h"

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/limits.h"

namespace assay {
namespace {

struct MetaspaceSplit : PreTokenizer {
  MetaspaceOptions options;

  void split(PreTokens& pre_tokens) const override {
    using Prepend = MetaspaceOptions::Prepend;
    rewrite(pre_tokens, [&](std::string_view pre_token, bool at_start) {
      std::string out;
      out.reserve(pre_token.size() + pre_token.size() / 2);
      const bool has_prefix =
          pre_token.starts_with(' ') || pre_token.starts_with(options.replacement);
      if (!has_prefix &&
          (options.prepend == Prepend::kAlways || (options.prepend == Prepend::kFirst && at_start)))
        out += options.replacement;
      for (const char c : pre_token)
        if (c == ' ')
          out += options.replacement;
        else
          out += c;
      return out;
    });
    if (options.split)
      split_pre_tokens(
          pre_tokens, SplitBehavior::kMergedWithNext, false,
          [&](std::string_view pre_token, const auto& add) {
            for (size_t at = pre_token.find(options.replacement); at != std::string_view::npos;
                 at = pre_token.find(options.replacement, at + options.replacement.size()))
              add(at, at + options.replacement.size());
          });
  }
};

}  // namespace

MetaspaceOptions MetaspaceOptions::read(JsonReader& json) {
  MetaspaceOptions options;
  options.replacement = json.string("replacement", options.replacement);
  if (options.replacement.empty() || options.replacement.size() > kMaxPatternBytes)
    json.fail(fmt::format("expected a replacement of 1 to {} bytes", kMaxPatternBytes));
  options.split = json.boolean("split", true);
  json.find("str_rep");  // the replacement again, in old files
  const bool add = json.boolean("add_prefix_space", true);
  const auto field = json.find("prepend_scheme");
  const std::string scheme = field ? field->as_string() : add ? "always" : "never";
  if (scheme == "always")
    options.prepend = Prepend::kAlways;
  else if (scheme == "first")
    options.prepend = Prepend::kFirst;
  else if (scheme == "never")
    options.prepend = Prepend::kNever;
  else
    throw UserError(
        unknown_name("prepend scheme", scheme, field->where(), {"always", "first", "never"}));
  return options;
}

std::unique_ptr<PreTokenizer> make_metaspace(JsonReader& json) {
  auto split = std::make_unique<MetaspaceSplit>();
  split->options = MetaspaceOptions::read(json);
  return split;
}

}  // namespace assay
