// Printed digits: the outlines 0-9 of free fonts, rotated, scaled and shifted, rendered by
// FreeType. A face belongs to one split. Each image depends only on seed, face, digit and its
// number.
#include <ATen/ATen.h>
#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H
#include FT_BBOX_H

#include <cmath>
#include <set>

#include "datasets/splits.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/rng.h"

namespace assay {
namespace {

constexpr int64_t kSide = 28, kDigits = 10;

struct DrawingOptions {
  uint64_t seed;
  double rotation_deg, shift_px, min_height_px, max_height_px;
  struct Part {
    std::vector<std::string> faces;  // file names
    int64_t images;                  // per face and digit
  };
  std::array<Part, 3> splits;  // by Split
};

DrawingOptions drawing_options(const DatasetManifest& manifest) {
  JsonReader reader(manifest.options, fmt::format("dataset '{}': options", manifest.name));
  DrawingOptions options{};
  options.seed = static_cast<uint64_t>(reader.at("seed").as_integer());
  options.rotation_deg = reader.at("rotation_deg").as_number();
  options.shift_px = reader.at("shift_px").as_number();
  JsonReader heights = reader.at("height_px");
  options.min_height_px = heights.at("least").as_number();
  options.max_height_px = heights.at("most").as_number();
  heights.finish();
  JsonReader splits = reader.at("splits");
  std::set<std::string> used;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    JsonReader part = splits.at(split_name(split));
    auto& out = options.splits[static_cast<size_t>(split)];
    out.images = part.at("images_per_digit").as_integer();
    for (const JsonReader& face : part.at("faces").elements()) {
      out.faces.push_back(manifest.file(face.as_string()).name);
      if (!used.insert(out.faces.back()).second) face.fail("a face can be in one split only");
    }
    part.finish();
  }
  splits.finish();
  reader.finish();
  return options;
}

class FreeType {
 public:
  FreeType() { ASSAY_CHECK(FT_Init_FreeType(&library_) == 0, "FreeType cannot be initialised"); }
  ~FreeType() { FT_Done_FreeType(library_); }
  FreeType(const FreeType&) = delete;
  FreeType& operator=(const FreeType&) = delete;
  FT_Library library() const { return library_; }
  std::string version() const {
    FT_Int major, minor, patch;
    FT_Library_Version(library_, &major, &minor, &patch);
    return fmt::format("{}.{}.{}", major, minor, patch);
  }

 private:
  FT_Library library_ = nullptr;
};

class Face {
 public:
  Face(const FreeType& freetype, const fs::path& path)
      : freetype_(freetype), path_(path), bytes_(read_file(path)) {
    if (FT_New_Memory_Face(freetype.library(), reinterpret_cast<const FT_Byte*>(bytes_.data()),
                           static_cast<FT_Long>(bytes_.size()), 0, &face_) != 0)
      data_error("'{}' is not a font that FreeType can read", path.string());
  }
  ~Face() { FT_Done_Face(face_); }
  Face(const Face&) = delete;
  Face& operator=(const Face&) = delete;

  /// Draws one digit into `pixels`, 28x28 bytes of zero.
  void draw(int64_t digit, const DrawingOptions& options, Rng& rng, uint8_t* pixels) const {
    const FT_UInt glyph = FT_Get_Char_Index(face_, static_cast<FT_ULong>('0' + digit));
    // Unscaled outlines are the font's own integers: no hinting, no dependence on a size.
    if (glyph == 0 || FT_Load_Glyph(face_, glyph, FT_LOAD_NO_SCALE) != 0 ||
        face_->glyph->format != FT_GLYPH_FORMAT_OUTLINE)
      data_error("'{}' has no outline for the digit {}", path_.string(), digit);
    FT_Outline& outline = face_->glyph->outline;
    place(outline, options, rng);

    FT_Bitmap bitmap{};
    bitmap.rows = bitmap.width = kSide;
    bitmap.pitch = kSide;
    bitmap.buffer = pixels;
    bitmap.num_grays = 256;
    bitmap.pixel_mode = FT_PIXEL_MODE_GRAY;
    if (FT_Outline_Get_Bitmap(freetype_.library(), &outline, &bitmap) != 0)
      data_error("'{}': the digit {} cannot be rendered", path_.string(), digit);
  }

 private:
  // Font units to 26.6 pixels: scales the digit's bounding box to the drawn height (less when it
  // would be wider than the maximum height), rotates it about its centre and shifts it near the
  // image's centre.
  static void place(FT_Outline& outline, const DrawingOptions& options, Rng& rng) {
    constexpr double kRadians = 3.14159265358979323846 / 180, kUnitsPerPixel = 64;
    const double height = rng.uniform(options.min_height_px, options.max_height_px);
    const double angle = kRadians * rng.uniform(-options.rotation_deg, options.rotation_deg);
    const double centre_x = kSide / 2.0 + rng.uniform(-options.shift_px, options.shift_px);
    const double centre_y = kSide / 2.0 + rng.uniform(-options.shift_px, options.shift_px);

    FT_BBox box;
    FT_Outline_Get_BBox(&outline, &box);
    const double scale = std::min(height / static_cast<double>(box.yMax - box.yMin),
                                  options.max_height_px / static_cast<double>(box.xMax - box.xMin));
    const double middle_x = static_cast<double>(box.xMin + box.xMax) / 2;
    const double middle_y = static_cast<double>(box.yMin + box.yMax) / 2;
    const double c = scale * std::cos(angle), s = scale * std::sin(angle);
    for (int i = 0; i < outline.n_points; ++i) {
      FT_Vector& point = outline.points[i];
      const double x = static_cast<double>(point.x) - middle_x;
      const double y = static_cast<double>(point.y) - middle_y;
      point.x = std::lround(kUnitsPerPixel * (centre_x + c * x - s * y));
      point.y = std::lround(kUnitsPerPixel * (centre_y + s * x + c * y));
    }
  }

  const FreeType& freetype_;
  fs::path path_;
  std::string bytes_;  ///< of the file; they must outlive the face
  FT_Face face_ = nullptr;
};

ImageDataset load_font_digits(const DatasetManifest& manifest) {
  const DrawingOptions options = drawing_options(manifest);
  int64_t n = 0;
  for (const auto& part : options.splits)
    n += static_cast<int64_t>(part.faces.size()) * kDigits * part.images;
  at::Tensor pixels = at::zeros({n, 1, kSide, kSide}, at::kByte);
  uint8_t* image = pixels.data_ptr<uint8_t>();
  std::vector<int64_t> labels;
  ImageDataset out;
  const FreeType freetype;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const DrawingOptions::Part& part = options.splits[static_cast<size_t>(split)];
    for (const std::string& name : part.faces) {
      const Face face(freetype, manifest.path(manifest.file(name)));
      for (int64_t digit = 0; digit < kDigits; ++digit)
        for (int64_t i = 0; i < part.images; ++i, image += kSide * kSide) {
          Rng rng(options.seed, fmt::format("{} digit {} image {}", name, digit, i));
          face.draw(digit, options, rng, image);
          labels.push_back(digit);
          out.splits.push_back(split);
        }
    }
  }
  out.images = pixels.to(at::kFloat).div_(255.0);
  out.labels = at::tensor(labels, at::kLong);
  return shuffled(out, options.seed);
}

// Another FreeType may round a pixel's coverage differently, so its version is part of the
// loader's.
ASSAY_DATASET_LOADER("font_digits", load_font_digits, "1, FreeType " + FreeType().version())

}  // namespace
}  // namespace assay
