#include <ATen/ATen.h>

#include "datasets/images.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/dataset.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kImages = fs::path(ASSAY_TESTS_FOLDER) / "golden/images";

at::Tensor picture(const std::string& name) {
  return decode_image(read_file(kImages / name), name);
}

/// As scripts/peers/image_goldens.py sums values.
at::Tensor weights(int64_t count) { return at::arange(count).remainder(251) + 1; }

void check_bytes(const at::Tensor& found, const Json& wanted) {
  REQUIRE(found.sizes() == at::IntArrayRef(wanted.at("shape").get<std::vector<int64_t>>()));
  CHECK(at::equal(found[0][0].to(at::kLong),
                  at::tensor(wanted.at("row").get<std::vector<int64_t>>(), at::kLong)));
  const at::Tensor flat = found.flatten().to(at::kLong);
  CHECK((flat * weights(flat.numel())).sum().item<int64_t>() == wanted.at("sum").get<int64_t>());
}

}  // namespace

TEST_CASE("image files are decoded and resized to Pillow's own bytes", "[data][images]") {
  const Json expected = read_json(kImages / "expected.json");
  for (const auto& [name, wanted] : expected.items()) {
    INFO(name);
    const at::Tensor image = picture(name);
    check_bytes(image, wanted.at("pixels"));
    for (const auto& [size, resized] : wanted.at("resized").items()) {
      INFO(size);
      const ResizeFilter filter =
          size.starts_with("bicubic") ? ResizeFilter::kBicubic : ResizeFilter::kBilinear;
      check_bytes(resize_image(image, resized.at("shape")[1].get<int64_t>(),
                               resized.at("shape")[2].get<int64_t>(), filter),
                  resized);
    }
    for (const auto& [sizes, sum] : wanted.at("prepared").items()) {
      INFO(sizes);
      const size_t first = sizes.find(' '), second = sizes.rfind(' ');
      const ImageSteps steps = read_image_steps(
          JsonReader({{"filter", sizes.substr(0, first)},
                      {"resize", std::stoi(sizes.substr(first + 1, second - first - 1))},
                      {"crop", std::stoi(sizes.substr(second + 1))},
                      {"mean", {0.485, 0.456, 0.406}},
                      {"deviation", {0.229, 0.224, 0.225}}},
                     "steps"));
      const at::Tensor values = prepare_image(image, steps).to(at::kDouble).flatten();
      CHECK((values * weights(values.numel())).sum().item<double>() ==
            Approx(sum.get<double>()).epsilon(1e-9));
    }
  }
}

TEST_CASE("files that are no whole images are refused", "[data][images]") {
  CHECK_THROWS_WITH(decode_image("GIF89a", "x.gif"), Contains("x.gif: neither JPEG nor PNG"));
  for (const char* name : {"colour.jpg", "colour.png"}) {
    const std::string bytes = read_file(kImages / name);
    for (const size_t size : {size_t{9}, bytes.size() / 2, bytes.size() - 30})
      CHECK_THROWS_AS(decode_image(bytes.substr(0, size), name), DataError);
  }
}

TEST_CASE("CIFAR's records are labels and planes of colours", "[data][images]") {
  std::string bytes;
  for (const int label : {7, 3}) {
    bytes += '\x01';  // the coarse label of CIFAR-100
    bytes += static_cast<char>(label);
    for (int i = 0; i < 3072; ++i) bytes += static_cast<char>((i + label) % 256);
  }
  const LabelledImages images = read_cifar(bytes, 2, "train.bin");
  CHECK(at::equal(images.labels, at::tensor({7, 3}, at::kLong)));
  CHECK(images.images.sizes() == at::IntArrayRef({2, 3, 32, 32}));
  CHECK(images.images[1][2][0][1].item<int>() == (2 * 1024 + 1 + 3) % 256);
  CHECK_THROWS_WITH(read_cifar(bytes, 1, "train.bin"), Contains("no whole number of records"));
}

TEST_CASE("loaders of images split them by label and drop copies", "[data][images]") {
  const TemporaryFolder folder;
  const char* before = std::getenv("ASSAY_DATA_DIR");
  const std::string kept = before ? before : "";
  ::setenv("ASSAY_DATA_DIR", folder.path().c_str(), 1);
  DatasetManifest pictures;
  pictures.name = "pictures";
  pictures.options = {
      {"steps", {{"resize", 16}, {"crop", 16}}},
      {"splits", {{"seed", 0}, {"train", 0.34}, {"validation", 0.33}, {"test", 0.33}}}};
  int copies = 0;
  for (const char* name : {"grey.png", "colour.png", "palette.png", "grey.jpg", "colour.jpg"}) {
    const std::string file = fmt::format("{}/{}", copies++ < 3 ? "cat" : "dog", name);
    fs::create_directories((folder.path() / "pictures" / file).parent_path());
    fs::copy_file(kImages / name, folder.path() / "pictures" / file);
    pictures.files.push_back({file, "", "", ""});
  }
  const ImageDataset found = dataset_loaders().at("image_folder", "the test").load(pictures);
  CHECK(found.images.sizes() == at::IntArrayRef({5, 3, 16, 16}));
  CHECK(found.labels.sum().item<int64_t>() == 2);  // two dogs
  CHECK(std::count(found.splits.begin(), found.splits.end(), Split::kTrain) >= 1);

  DatasetManifest cifar;
  cifar.name = "cifar";
  cifar.options = {{"label_bytes", 1}, {"steps", {{"crop", 32}}}, {"validation", 0.5}};
  fs::create_directories(folder.path() / "cifar");
  const auto record = [](int label, int value) {
    return std::string(1, static_cast<char>(label)) + std::string(3072, static_cast<char>(value));
  };
  write_file(folder.path() / "cifar/batch.bin",
             record(0, 1) + record(0, 2) + record(1, 3) + record(1, 4) + record(1, 9));
  write_file(folder.path() / "cifar/test.bin", record(1, 9) + record(0, 8));
  for (const char* name : {"batch.bin", "test.bin"}) cifar.files.push_back({name, "", "", ""});
  const ImageDataset small = dataset_loaders().at("cifar", "the test").load(cifar);
  CHECK(small.labels.numel() == 6);  // the copy of a test image is not trained on
  const auto count = [&](Split split) {
    return std::count(small.splits.begin(), small.splits.end(), split);
  };
  CHECK(count(Split::kTest) == 2);
  CHECK(count(Split::kValidation) == 2);
  CHECK(count(Split::kTrain) == 2);
  before ? ::setenv("ASSAY_DATA_DIR", kept.c_str(), 1) : ::unsetenv("ASSAY_DATA_DIR");
}
