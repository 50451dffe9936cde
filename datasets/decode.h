/// Decoding for dataset loaders: tables, numpy arrays, and images of 28x28 pixels.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace assay {

/// Lines of `columns` integers in [0, 255], separated by commas. uint8 [lines, columns]. DataError
/// naming `where`, line and column otherwise.
at::Tensor read_byte_csv(const std::string& text, int64_t columns, const std::string& where);

/// The data of one C-ordered array in a numpy pickle (protocol 4), of exactly this type ("|u1",
/// "<i8") and shape. Nothing of the pickle is executed: its structure is compared, opcode by
/// opcode, with that of a plain array, and anything else is a DataError naming `where`.
std::string numpy_pickle_bytes(const std::string& pickle, const std::string& dtype,
                               const std::vector<int64_t>& shape, const std::string& where);

/// Bilinear, half-pixel centres, edges repeated. float32 [n, h, w] to [n, size, size]. Plain loops,
/// so that the result does not depend on the processor.
at::Tensor resize_bilinear(const at::Tensor& images, int64_t size);

/// float32 [n, h, w], h and w at most 28, centred in [n, 1, 28, 28] zeros.
at::Tensor centre_in_28(const at::Tensor& images);

}  // namespace assay
