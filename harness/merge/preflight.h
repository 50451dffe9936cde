/// Checks of a merge that read no tensor. Each returns all problems that it finds, a line each, so
/// that they can be reported together.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/merge/merge.h"
#include "harness/merge/request/reconcile.h"

namespace assay {

/// Where names, shapes or dtypes of a model differ from those of `reference`, and dtypes that can
/// be neither merged nor copied.
std::vector<std::string> model_mismatches(const TensorSource& reference, const TensorSource& model);

/// Where the configs say that the models do not compute the same function of their weights (rope,
/// heads, activation, ...). Such models can be merged, but rarely should be.
std::vector<std::string> config_differences(const std::vector<MergeModel>& models);

/// The tensors of the result and their dtypes, in name order.
std::vector<TensorInfo> result_layout(const MergeInputs& inputs);
std::vector<TensorInfo> result_layout(const std::vector<MergeSection>& sections);

/// About how much memory the merge takes in addition to parts, which keep to the limit: for methods
/// that take whole tensors or whole models, what these are in memory.
int64_t memory_need(const std::vector<MergeSection>& sections);

/// The largest scratch file that a method makes, of what it holds of a tensor at once and cannot
/// hold within MergeInputs::memory_bytes; 0: none.
int64_t scratch_need(const std::vector<MergeSection>& sections);

/// The nearest folder above an output, as resolve_output() gives it, that exists.
std::filesystem::path existing_parent(const std::filesystem::path& target);

/// Free bytes of the file system in which an output of this name will lie; what an unfinished one
/// takes there counts as free. DataError when that cannot be determined.
int64_t free_disk(const std::filesystem::path& folder);

/// Not enough memory or disk, and side files (by the names they get) that cannot be read, in words.
std::vector<std::string> resource_problems(
    const std::vector<MergeSection>& sections,
    const std::map<std::filesystem::path, std::filesystem::path>& side_files,
    const std::filesystem::path& folder);

/// DataError with all problems, unless there is none.
void refuse(const std::vector<std::string>& problems);

/// "1.5 GiB".
std::string bytes_text(int64_t bytes);

}  // namespace assay
