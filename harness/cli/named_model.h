/// Models named on the command line.
#pragma once

#include <string>

#include "harness/checkpoint/model_path.h"

namespace assay::cli {

inline constexpr const char* kModelHelp =
    "folder of the model, or its name in the Hugging Face "
    "cache (org/name); with +ADAPTER a LoRA adapter is merged";
inline constexpr const char* kAdapterHelp =
    "LoRA adapter to merge: a folder, or a name in the Hugging Face cache";

/// find_adapted(), logging its notes.
ModelPath named_model(const std::string& model, const std::string& adapter = {});

}  // namespace assay::cli
