/// What is fuzzed: the readers of text and files that come from strangers. A target returns when
/// the input was read or refused with UserError or DataError; anything else is a finding.
#pragma once

#include <string_view>

namespace assay::fuzz {

void safetensors(std::string_view input);  ///< all bytes of one file; only the header is looked at
void index(std::string_view input);        ///< model.safetensors.index.json
/// A checkpoint folder: config.json, the index and two shards, parted by lines "----", opened and
/// read whole. `@` stands for the eight bytes that hold the length of the rest of its line.
void folder(std::string_view input);
void mergekit(
    std::string_view input);  ///< mergekit's YAML, resolved for the tensors of a small model

struct Target {
  const char* name;  ///< of its corpus too: tests/fuzz/corpus/NAME
  void (*run)(std::string_view);
};
inline constexpr Target kTargets[] = {
    {"safetensors", safetensors}, {"index", index}, {"folder", folder}, {"mergekit", mergekit}};

}  // namespace assay::fuzz
