#include <ATen/ATen.h>
#include <png.h>

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include "datasets/images.h"
#include "harness/core/error.h"

namespace assay {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 26;

/// uint8 [h, w, 3] for pixels that a library writes row by row.
at::Tensor interleaved(int64_t height, int64_t width, const std::string& where) {
  if (height < 1 || width < 1 || width > kMaxPixels / height)
    data_error("{}: an image of {}x{} pixels is not read", where, width, height);
  return at::empty({height, width, 3}, at::kByte);
}

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = {};
};

void fail_jpeg(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

void ignore_jpeg(j_common_ptr /*info*/) {}

/// False with a message where the file is broken. No object of C++ lives across the jump.
bool start_jpeg(jpeg_decompress_struct& info, JpegErrors& errors, const std::string& bytes) {
  if (setjmp(errors.escape)) return false;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  return true;
}

bool read_jpeg_rows(jpeg_decompress_struct& info, JpegErrors& errors, uint8_t* pixels) {
  if (setjmp(errors.escape)) return false;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels + size_t{info.output_scanline} * info.output_width * 3;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

at::Tensor read_jpeg(const std::string& bytes, const std::string& where) {
  jpeg_decompress_struct info{};
  JpegErrors errors;
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = fail_jpeg;
  errors.base.output_message = ignore_jpeg;
  struct Release {
    jpeg_decompress_struct& info;
    ~Release() { jpeg_destroy_decompress(&info); }
  } release{info};
  if (!start_jpeg(info, errors, bytes)) data_error("{}: {}", where, errors.message);
  if (info.jpeg_color_space != JCS_GRAYSCALE && info.jpeg_color_space != JCS_YCbCr &&
      info.jpeg_color_space != JCS_RGB)
    data_error("{}: a JPEG of other colours than red, green, blue or grey", where);
  at::Tensor pixels = interleaved(info.image_height, info.image_width, where);
  if (!read_jpeg_rows(info, errors, pixels.data_ptr<uint8_t>()))
    data_error("{}: {}", where, errors.message);
  if (errors.base.num_warnings > 0) data_error("{}: the JPEG is damaged or incomplete", where);
  return pixels;
}

at::Tensor read_png(const std::string& bytes, const std::string& where) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  struct Release {
    png_image& image;
    ~Release() { png_image_free(&image); }
  } release{image};
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()))
    data_error("{}: {}", where, image.message);
  // Values as they are stored, with alpha beside them: a background would be blended in.
  image.format = PNG_FORMAT_RGBA;
  interleaved(image.height, image.width, where);
  at::Tensor pixels = at::empty({image.height, image.width, 4}, at::kByte);
  if (!png_image_finish_read(&image, nullptr, pixels.data_ptr(), 0, nullptr))
    data_error("{}: {}", where, image.message);
  return pixels.narrow(2, 0, 3);
}

}  // namespace

at::Tensor decode_image(const std::string& bytes, const std::string& where) {
  at::Tensor pixels;
  if (bytes.starts_with("\xff\xd8\xff"))
    pixels = read_jpeg(bytes, where);
  else if (bytes.starts_with("\x89PNG"))
    pixels = read_png(bytes, where);
  else
    data_error("{}: neither JPEG nor PNG", where);
  return pixels.permute({2, 0, 1}).contiguous();
}

}  // namespace assay
