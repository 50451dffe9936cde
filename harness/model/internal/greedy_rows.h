/// State of greedy decoding, for decoders and encoder-decoders.
#pragma once

#include <vector>

#include "harness/model/generate.h"

namespace assay {

at::Tensor int64_tensor(const std::vector<int64_t>& values);

/// The id of the highest of logits [rows, vocabulary]. DataError when one is not finite.
std::vector<int64_t> most_probable(const at::Tensor& logits);

/// The rows of one call of generate(), and which of them are unfinished.
class GreedyRows {
 public:
  /// Both must outlive it.
  GreedyRows(const std::vector<TokenIds>& prompts, const GenerateOptions& options);

  const std::vector<size_t>& running() const { return running_; }
  std::vector<TokenIds> generated() && { return std::move(generated_); }
  /// Of the running rows: prompts with the generated tokens, without the first `skipped` tokens;
  /// their lengths; the last id and its position, int64 [rows, 1].
  std::vector<TokenIds> texts(int64_t skipped = 0) const;
  std::vector<int64_t> lengths() const;
  at::Tensor last_ids() const;
  at::Tensor last_positions() const;
  /// Appends one id to each running row. Gives the indices of those that continue, among the rows
  /// that were running.
  std::vector<int64_t> add(const std::vector<int64_t>& ids);

 private:
  bool ended(size_t row, TokenId id) const;

  const GenerateOptions& options_;
  const std::vector<TokenIds>& prompts_;
  std::vector<TokenIds> generated_;
  std::vector<size_t> running_;
};

}  // namespace assay
