/// What the first complete pass over each input tensor does besides the merge.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/hash.h"
#include "harness/core/json.h"

namespace assay {

using Sources = std::vector<std::shared_ptr<const TensorSource>>;

/// DataError that names model and tensor: some of its values are not finite.
[[noreturn]] void refuse_nonfinite(const TensorSource& source, const std::string& name);

/// Refuses NaN and infinity, by model and tensor, and hashes the tensors' bytes if asked to.
/// Several threads may be at a tensor each.
class InputCheck {
 public:
  /// One hasher per model; null ones where nothing is hashed.
  using Hashers = std::vector<std::unique_ptr<Hasher>>;

  InputCheck(Sources models, bool hash);

  /// Whether a pass over the tensor was completed.
  bool done(const std::string& name) const;
  Hashers begin() const;
  /// The next part of the tensor in every model. DataError when a value is not finite.
  void inspect(const std::string& name, const std::vector<at::Tensor>& parts,
               const Hashers& hashers) const;
  void finish(const std::string& name, const Hashers& hashers);
  /// These tensors are known to be finite: no pass need look at them, unless for hashes.
  void known_finite(const std::vector<std::string>& names);

  /// Hashes of a tensor's bytes in every model, as a JSON list; null without.
  Json hashes(const std::string& name) const;
  /// Takes over what hashes() gave in an earlier process.
  void restore(const std::string& name, const Json& hashes);
  /// content_hash() of the models of which all tensors were read.
  std::vector<std::optional<std::string>> content_hashes() const;

 private:
  Sources models_;
  bool hash_;
  mutable std::mutex mutex_;  ///< for what is below
  std::set<std::string> done_;
  std::vector<std::map<std::string, std::string>> byte_hashes_;  ///< per model
};

}  // namespace assay
