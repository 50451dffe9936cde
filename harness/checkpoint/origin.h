/// What a checkpoint's assay.json says of where it comes from.
#pragma once

#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"

namespace assay {

/// The tasks and families of tasks that the model was trained on; empty where it does not say.
std::vector<std::string> trained_on(const Checkpoint& model);

}  // namespace assay
