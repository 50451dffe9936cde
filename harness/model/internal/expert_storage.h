/// How a mixture's experts are stored where no published family has such a form
/// (docs/merging-experts.md): equal experts once, and matrices as factors and rows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/model/internal/layers.h"

namespace assay {

class ConfigFields;

/// left right + rest, where the rest has some rows alone.
struct LowRankMatrix {
  int64_t rank = 0;
  int64_t rows = 0;  ///< that the rest has; 0: there is no rest
};

/// What `stored_experts` and `low_rank_experts` of config.json say.
class ExpertStorage {
 public:
  ExpertStorage() = default;
  /// Of a model with so many blocks, in which a router scores so many experts. UserError on more
  /// stored experts or blocks than these.
  ExpertStorage(ConfigFields& config, int64_t experts, int64_t blocks);

  /// ExpertLayerShape::stored of a block, by its place among Architecture::blocks().
  int64_t stored(int64_t block) const;
  /// gated_feed_forward() and plain_feed_forward(), of matrices that may be stored as factors:
  /// `name`.left.weight [out, rank], `name`.right.weight [rank, in], `name`.rest.weight [rows, in]
  /// and `name`.kept [out], which is 1 for these rows and 0 for the others.
  std::unique_ptr<FeedForward> gated(const FeedForwardShape& shape, std::string gate,
                                     std::string up, std::string down) const;
  std::unique_ptr<FeedForward> plain(const FeedForwardShape& shape, std::string up,
                                     std::string down) const;

 private:
  bool has_factors(const std::string& matrix) const;

  std::vector<int64_t> stored_;  ///< one for all blocks, or one for each of the first blocks
  std::shared_ptr<const std::map<std::string, LowRankMatrix>> low_rank_;
};

}  // namespace assay
