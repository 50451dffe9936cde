/// Image files, and the steps with which torchvision prepares them for a network: resize by
/// Pillow's filters, centre crop, normalisation. Bytes are Pillow's own, bit for bit, with rows
/// resized before columns: Pillow 13 chooses the order, by which some bytes differ by 1.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// A JPEG or PNG file, by its first bytes: uint8 [3, height, width], red, green, blue. Grey values
/// are repeated, transparency is dropped. DataError naming `where` on anything else, on broken
/// files, CMYK JPEGs and more than 2^26 pixels.
at::Tensor decode_image(const std::string& bytes, const std::string& where);

enum class ResizeFilter { kBilinear, kBicubic };

/// uint8 [channels, height, width] to [channels, new height, new width], with the support of the
/// filter widened when the image shrinks (antialiasing), as Pillow and so torchvision's Resize do.
/// Fixed-point arithmetic: the result does not depend on the processor.
at::Tensor resize_image(const at::Tensor& image, int64_t height, int64_t width,
                        ResizeFilter filter);

struct ImageSteps {
  int64_t resize = 0;  ///< of the shorter side; 0: none
  int64_t crop = 0;    ///< height and width of the part in the middle
  ResizeFilter filter = ResizeFilter::kBilinear;
  std::vector<double> mean, deviation;  ///< per channel, of values in [0, 1]
};

/// uint8 [3, height, width] to float32 [3, crop, crop]: what Resize, CenterCrop, ToTensor and
/// Normalize give. Smaller images are padded with black, as CenterCrop does.
at::Tensor prepare_image(const at::Tensor& image, const ImageSteps& steps);

/// {"resize": 256, "crop": 224, "filter": "bicubic", "mean": [...], "deviation": [...]}; all but
/// "crop" may be absent. UserError on anything else.
ImageSteps read_image_steps(JsonReader json);

struct LabelledImages {
  at::Tensor images;  ///< uint8 [n, 3, 32, 32]
  at::Tensor labels;  ///< int64 [n]
};
/// The binary form of CIFAR-10 and CIFAR-100: records of one label byte or two (the second is the
/// fine label, which is taken) and 3072 bytes, planes of red, green and blue. DataError naming
/// `where` when the size is no multiple of a record's.
LabelledImages read_cifar(const std::string& bytes, int64_t label_bytes, const std::string& where);

}  // namespace assay
