/// The architectures of GGUF that are read, and what their tensors are called in Hugging Face's
/// layout.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/checkpoint/internal/gguf_metadata.h"

namespace assay {

/// How llama.cpp changed a tensor when it converted it.
enum class GgufChange {
  kNone,
  kQuery,       ///< pairs of rotated rows lie next to each other, not half a head apart
  kKey,         ///< likewise; there may be fewer heads
  kTransposed,  ///< [in, out] became [out, in]
  kPlusOne,     ///< 1 was added
  kExperts,     ///< the tensors of all experts were joined
  kRow,         ///< [1, n] became [n]
};

struct GgufName {
  std::string_view gguf, hugging_face;  ///< without ".weight" or ".bias"; '#' is an expert's number
  GgufChange change = GgufChange::kNone;
};

struct GgufFamily {
  std::string_view architecture, model_type;
  std::string_view hugging_face_class;  ///< of transformers
  std::string_view blocks;              ///< Hugging Face's "model.layers"
  std::vector<GgufName> outside;        ///< of blocks
  std::vector<GgufName> in_block;       ///< after "blk.N."
};

/// Of the file's architecture. DataError naming those that are known.
const GgufFamily& gguf_family(const GgufMetadata& metadata);

/// A tensor of Hugging Face's layout as a view of one of the file.
struct GgufView {
  std::string name;
  const GgufTensor* source;
  std::vector<int64_t> shape;
  GgufChange change = GgufChange::kNone;
  int64_t heads = 0;      ///< of kQuery and kKey
  int64_t first_row = 0;  ///< of kExperts, in rows of the source
};

/// All tensors in name order. DataError on a tensor that the architecture does not have.
std::vector<GgufView> gguf_views(const GgufHeader& header, const std::string& file);

/// config.json. `bytes`: the whole file, as some tensors belong to the configuration.
Json gguf_config(const GgufHeader& header, std::string_view bytes, const std::string& file);

}  // namespace assay
