#include <algorithm>
#include <string_view>

#include "harness/merge/request/roles.h"

namespace assay {
namespace {

// The last part of a buffer's name.
constexpr std::string_view kBuffers[] = {
    "position_ids", "token_type_ids", "inv_freq",  "original_inv_freq",       "masked_bias",
    "causal_mask",  "attention_mask", "attn_mask", "relative_position_index", "cos_cached",
    "sin_cached",   "_float_tensor",  "freqs_cis", "relative_coords_table"};

// GPT-2 and GPT-NeoX call the mask of later positions "bias". Of a single position there is none:
// that is a parameter.
bool is_mask_of_pairs(const TensorInfo& info, std::string_view last) {
  constexpr size_t kDims = 4;
  const auto& shape = info.shape;
  return last == "bias" && shape.size() == kDims && shape[0] == 1 && shape[1] == 1 &&
         shape[2] == shape[3] && shape[2] > 1;
}

}  // namespace

bool is_buffer(const TensorInfo& info) {
  const std::string_view name = info.name;
  const std::string_view last = name.substr(name.rfind('.') + 1);  // all of it without a dot
  return std::find(std::begin(kBuffers), std::end(kBuffers), last) != std::end(kBuffers) ||
         is_mask_of_pairs(info, last);
}

}  // namespace assay
