#include "harness/tokenizer/hf_json/metaspace.h"

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/limits.h"

namespace assay {
namespace {

struct MetaspaceSplit : PreTokenizer {
  MetaspaceOptions options;

  void split(Pieces& pieces) const override {
    using Prepend = MetaspaceOptions::Prepend;
    rewrite(pieces, [&](std::string_view piece, bool at_start) {
      std::string out;
      out.reserve(piece.size() + piece.size() / 2);
      const bool has_sign = piece.starts_with(' ') || piece.starts_with(options.sign);
      if (!has_sign &&
          (options.prepend == Prepend::kAlways || (options.prepend == Prepend::kFirst && at_start)))
        out += options.sign;
      for (const char c : piece)
        if (c == ' ')
          out += options.sign;
        else
          out += c;
      return out;
    });
    if (options.split)
      split_pieces(pieces, SplitBehavior::kMergedWithNext, false,
                   [&](std::string_view piece, const auto& add) {
                     for (size_t at = piece.find(options.sign); at != std::string_view::npos;
                          at = piece.find(options.sign, at + options.sign.size()))
                       add(at, at + options.sign.size());
                   });
  }
};

}  // namespace

MetaspaceOptions MetaspaceOptions::read(JsonReader& json) {
  MetaspaceOptions options;
  options.sign = json.string("replacement", options.sign);
  if (options.sign.empty() || options.sign.size() > kLongestPart)
    json.fail(fmt::format("expected a replacement of 1 to {} bytes", kLongestPart));
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
