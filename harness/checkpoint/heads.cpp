#include "harness/checkpoint/heads.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string_view>

namespace assay {
namespace {

constexpr std::string_view kHeads[] = {"lm_head.weight",   "lm_head.decoder.weight",
                                       "embed_out.weight", "cls.predictions.decoder.weight",
                                       "proj_out.weight",  "vocab_projector.weight"};
constexpr std::string_view kShared = "shared.weight";
constexpr std::string_view kCopiesOfShared[] = {"encoder.embed_tokens.weight",
                                                "decoder.embed_tokens.weight"};
// Names of the embedding itself; the first that a model has is used.
constexpr std::string_view kEmbeddings[] = {kShared, "embed_tokens.weight", "wte.weight",
                                            "embed_in.weight", "word_embeddings.weight"};

bool ends(std::string_view name, std::string_view end) {
  return name.ends_with(end) &&
         (name.size() == end.size() || name[name.size() - end.size() - 1] == '.');
}

template <size_t N>
bool ends_with_any(std::string_view name, const std::string_view (&ends_of)[N]) {
  return std::any_of(std::begin(ends_of), std::end(ends_of),
                     [&](std::string_view end) { return ends(name, end); });
}

}  // namespace

bool is_head(const std::string& name) {
  return ends_with_any(name, kHeads) || ends_with_any(name, kCopiesOfShared);
}

bool is_embedding(const std::string& name) { return ends_with_any(name, kEmbeddings); }

Embeddings::Embeddings(const TensorSource& source) {
  constexpr size_t kDims = 2;
  const auto& infos = source.tensors();
  for (const std::string_view end : kEmbeddings) {
    const auto found = std::find_if(infos.begin(), infos.end(), [&](const TensorInfo& info) {
      return info.shape.size() == kDims && ends(info.name, end);
    });
    if (found == infos.end()) continue;
    if (!any_) any_ = &*found;
    if (end == kShared) shared_ = &*found;
  }
}

const TensorInfo* Embeddings::of(const std::string& head) const {
  return ends_with_any(head, kCopiesOfShared) ? shared_ : any_;
}

bool seem_equal(const TensorSource& source, const TensorInfo& head, const TensorInfo& embedding) {
  constexpr int64_t kPlaces = 8, kCount = 256;
  const int64_t count = std::min(kCount, head.numel());
  for (int64_t place = 0; place < kPlaces; ++place) {
    const int64_t first = (head.numel() - count) / (kPlaces - 1) * place;
    const at::Tensor one = source.read_part(head.name, first, count).to(at::kFloat);
    if (!at::equal(one, source.read_part(embedding.name, first, count).to(at::kFloat)))
      return false;
  }
  return true;
}

}  // namespace assay
