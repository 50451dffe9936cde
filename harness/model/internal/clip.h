/// What the two towers of CLIP share.
#pragma once

#include <string>

#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/pre_norm_blocks.h"

namespace assay {

/// Whether a lone tower's config.json says that the checkpoint has the projection into the space
/// that images and texts share ("CLIPTextModelWithProjection").
bool clip_projects(ConfigFields& config);

struct ClipSizes {
  int64_t width, heads, inner;
};
/// The blocks of a tower whose tensors begin with `tower`. `defaults`: sizes that transformers
/// takes where config.json has none.
PreNormConfig read_clip_blocks(ConfigFields& config, const std::string& tower,
                               const ClipSizes& defaults);

}  // namespace assay
