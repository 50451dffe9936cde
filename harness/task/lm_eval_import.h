/// Tasks of lm-evaluation-harness (0.4) as suites of Assay: what their YAML says, without its
/// Python.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/core/json.h"

namespace assay {

struct ImportedTasks {
  std::map<std::string, Json> suites;  ///< by kind of task: the content of a file in tasks/
  std::vector<std::string> notes;      ///< what differs from lm-evaluation-harness, one line each
};

/// The tasks of a YAML file, or of all in a folder and its sub-folders. A task's group, else its
/// first tag, is its family. Splits that the definition reads from a dataset of the Hugging Face
/// hub are expected as huggingface/DATASET/CONFIGURATION/SPLIT.jsonl in the data folder; the split
/// that is scored (test, else validation) is Assay's `test`. `name` names the suites in their
/// summary. UserError "FILE:LINE: ..." on what cannot be imported: Python functions, metrics,
/// filters and keys that Assay does not have.
ImportedTasks import_lm_eval(const std::filesystem::path& path, const std::string& name);

}  // namespace assay
