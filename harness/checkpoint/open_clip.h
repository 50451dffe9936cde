/// OpenCLIP's checkpoints, read as the image tower that transformers has: under its names, with the
/// query, key and value of every block, which OpenCLIP stores as one tensor, apart.
#pragma once

#include <memory>
#include <string>

#include "harness/checkpoint/tensor_file.h"
#include "harness/core/json.h"

namespace assay {

/// File names of an OpenCLIP model's folder.
inline constexpr const char* kOpenClipConfigName = "open_clip_config.json";
inline constexpr const char* kOpenClipWeightsNames[] = {"open_clip_model.safetensors",
                                                        "open_clip_pytorch_model.bin"};

/// config.json of a clip_vision_model. UserError for towers that are no plain vision transformer
/// and for settings that are not known.
Json open_clip_config(const JsonReader& open_clip);

/// A view of the image tower's tensors; the text tower's are left out. DataError naming `where` and
/// the tensor when one of the image tower has an unknown name or an impossible shape.
std::shared_ptr<const TensorFile> open_clip_view(std::shared_ptr<const TensorFile> file,
                                                 const std::string& where);

}  // namespace assay
