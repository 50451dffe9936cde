#include "harness/merge/request/tokens.h"

#include "harness/checkpoint/adjusted_source.h"
#include "harness/checkpoint/heads.h"
#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/merge/tokenizer_files.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

std::shared_ptr<const TensorSource> with_tokens_of(const Checkpoint& reference,
                                                   const std::shared_ptr<const Checkpoint>& model,
                                                   Json& config) {
  const TensorInfo* like = Embeddings(reference).of("lm_head.weight");
  if (!like || !have_different_tokenizers(reference, *model)) return model;
  const auto wanted = Tokenizer::open(reference.path()), own = Tokenizer::open(model->path());
  auto row_of =
      std::make_shared<std::vector<int64_t>>(static_cast<size_t>(like->shape.front()), -1);
  const int64_t tokens = std::min(wanted->size(), like->shape.front());
  for (TokenId id = 0; id < tokens; ++id)
    if (const auto found = own->id(wanted->token(id))) row_of->at(static_cast<size_t>(id)) = *found;
  Adjustments adjustments;
  for (const TensorInfo& info : model->tensors()) {
    if (info.shape.size() != 2 || !(is_embedding(info.name) || is_head(info.name))) continue;
    if (own->size() > info.shape.front())
      data_error("{}: its tokenizer has {} tokens, and '{}' {} rows", model->label(), own->size(),
                 info.name, info.shape.front());
    adjustments.views[info.name] = {.of = info.name, .rows = like->shape.front(), .row_of = row_of};
  }
  set_vocab_size(config, like->shape.front());
  return std::make_shared<AdjustedSource>(model, std::move(adjustments));
}

}  // namespace assay
