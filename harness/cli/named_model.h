/// Models that the command line names.
#pragma once

#include <string>

#include "harness/checkpoint/model_path.h"

namespace assay::cli {

inline constexpr const char* kModelHelp =
    "folder of the model, or its name in the Hugging Face "
    "cache (org/name); with +ADAPTER a LoRA adapter is added";
inline constexpr const char* kAdapterHelp =
    "LoRA adapter to add: a folder, or a name in the Hugging Face cache";

/// find_adapted(), saying what it notes.
ModelPath named_model(const std::string& model, const std::string& adapter = {});

}  // namespace assay::cli
