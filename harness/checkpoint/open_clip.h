/// OpenCLIP's checkpoints, read as one of the towers that transformers has: under its names, with
/// the query, key and value of every block, which OpenCLIP stores as one tensor, apart.
#pragma once

#include <memory>
#include <string>

#include "harness/checkpoint/tensor_file.h"
#include "harness/core/json.h"

namespace assay {

/// The part of an OpenCLIP folder that is read.
enum class ClipTower { kImage, kText };

/// File names of an OpenCLIP model's folder.
inline constexpr const char* kOpenClipConfigName = "open_clip_config.json";
inline constexpr const char* kOpenClipWeightsNames[] = {"open_clip_model.safetensors",
                                                        "open_clip_pytorch_model.bin"};

/// config.json of a clip_vision_model or a clip_text_model. UserError for towers that are no plain
/// transformer and for settings that are not known.
Json open_clip_config(const JsonReader& open_clip, ClipTower tower);

/// A view of one tower's tensors; the other's are left out. DataError naming `where` and the tensor
/// when one of the tower has an unknown name or an impossible shape.
std::shared_ptr<const TensorFile> open_clip_view(std::shared_ptr<const TensorFile> file,
                                                 ClipTower tower, const std::string& where);

}  // namespace assay
