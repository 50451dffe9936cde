/// Fuzz targets: the readers of untrusted text and files. A target returns when the input was read
/// or rejected with UserError or DataError; anything else is a finding.
#pragma once

#include <string_view>

namespace assay::fuzz {

void safetensors(std::string_view input);  ///< all bytes of one file; only the header is read
void index(std::string_view input);        ///< model.safetensors.index.json
/// A checkpoint folder: config.json, the index and two shards, separated by lines "----", opened
/// and read completely. `@` is replaced by the eight bytes with the length of the rest of its line.
void folder(std::string_view input);
/// All bytes of a file of torch.save(), opened and read completely, and the same as a pickle.
void torch(std::string_view input);
/// All bytes of a GGUF file, opened and read completely, and the texts made from its metadata.
void gguf(std::string_view input);
void jinja(std::string_view input);  ///< a template, rendered as a prompt and as a chat
void mergekit(
    std::string_view input);  ///< mergekit's YAML, resolved for the tensors of a small model

struct Target {
  const char* name;  ///< also of its corpus: tests/fuzz/corpus/NAME
  void (*run)(std::string_view);
};
inline constexpr Target kTargets[] = {{"safetensors", safetensors},
                                      {"index", index},
                                      {"folder", folder},
                                      {"torch", torch},
                                      {"gguf", gguf},
                                      {"jinja", jinja},
                                      {"mergekit", mergekit}};

}  // namespace assay::fuzz
