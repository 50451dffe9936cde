/// What a merge will do, tensor by tensor, from the checkpoints' headers alone (`--explain`).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/merge/request/merge_file.h"

namespace assay {

struct TensorExplanation {
  /// A tensor that an output tensor is made of.
  struct Part {
    std::string model;
    std::string tensor;
  };
  std::string name;
  std::vector<int64_t> shape;
  std::vector<at::ScalarType> from;  ///< in the models that are read, each dtype once
  std::optional<at::ScalarType> to;  ///< absent when it is left out
  /// "merged", "made" (by the method, as a mixture's gates are), "averaged" (running moments),
  /// "copied", "zeros" or "left out", and what is adjusted before.
  std::string role;
  std::optional<size_t> group;  ///< of MergeRequest::groups; absent unless merged
  std::vector<Part> parts{};    ///< with an output plan: what is read
};

struct Explanation {
  std::vector<TensorExplanation> tensors;  ///< in name order
  std::vector<std::string> methods;        ///< per group
  std::vector<Json> parameters;            ///< per group: those that are not the method's defaults
  size_t num_models = 0;
  int64_t values = 0;  ///< in the result
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  int64_t memory_bytes =
      0;  ///< about: the limit, unless a method needs more; without the program itself
  int64_t scratch_bytes = 0;  ///< of disk, while it runs, for what does not fit in the memory
  int64_t disk_free_bytes = 0;
  std::vector<std::string> config_changes;  ///< of config.json by an output plan, a line each
  std::vector<std::string> notes;
};

/// `folder` is where the result would go.
Explanation explain(const MergeRequest& request, const std::filesystem::path& folder);

/// Aligned text, a line per tensor, then totals and notes.
std::string explanation_text(const Explanation& explanation);
Json explanation_json(const Explanation& explanation);

}  // namespace assay
