#include <ATen/ATen.h>

#include <map>
#include <set>

#include "harness/task/text_converter.h"
#include "tests/catch.h"

using namespace assay;

namespace {

std::string content(const ImageDataset& dataset, int64_t i) {
  const at::Tensor image = dataset.images[i].contiguous();
  return {static_cast<const char*>(image.const_data_ptr()), image.nbytes()};
}

}  // namespace

TEST_CASE("all datasets are bright strokes on black, without duplicates, in disjoint splits",
          "[data]") {
  for (const std::string& name : dataset_names()) {
    INFO(name);
    const DatasetManifest manifest = read_manifest(name);
    if (manifest.loader.empty() || converter_of(manifest)) continue;  // text
    const auto dataset = load_dataset(name);
    const int64_t n = dataset->images.size(0);
    REQUIRE(dataset->images.sizes() == at::IntArrayRef({n, 1, 28, 28}));
    CHECK(dataset->images.min().item<float>() == 0.f);
    CHECK(dataset->images.max().item<float>() <= 1.f);
    CHECK(dataset->images.mean().item<float>() < 0.5f);

    std::map<std::string, Split> seen;
    std::map<Split, std::set<int64_t>> labels;
    int repeated = 0;
    for (int64_t i = 0; i < n; ++i) {
      const Split split = dataset->splits[static_cast<size_t>(i)];
      repeated += seen.emplace(content(*dataset, i), split).second ? 0 : 1;
      labels[split].insert(dataset->labels[i].item<int64_t>());
    }
    CHECK(repeated == 0);
    // Every split has all ten labels.
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest})
      CHECK(labels[split].size() == 10);
  }
}

TEST_CASE("the sizes of the datasets' splits are as documented", "[data]") {
  const std::map<std::string, std::array<int64_t, 3>> documented{
      {"mnist5k", {2500, 750, 1750}},
      {"optdigits", {901, 269, 627}},
      {"font_digits", {3000, 800, 1600}},
      {"animal_mnist", {5829, 1459, 2428}}};
  for (const auto& [name, sizes] : documented) {
    std::array<int64_t, 3> found{};
    for (const Split split : load_dataset(name)->splits) ++found[static_cast<size_t>(split)];
    INFO(name);
    CHECK(found == sizes);
  }
}

TEST_CASE("labels of animals follow those of the digits", "[data]") {
  const auto animals = load_dataset("animal_mnist");
  CHECK(animals->labels.min().item<int64_t>() == 10);
  CHECK(animals->labels.max().item<int64_t>() == 19);
}

TEST_CASE("font faces are disjoint between splits, families included", "[data]") {
  const Json splits = read_manifest("font_digits").options.at("splits");
  std::map<std::string, std::set<std::string>> splits_of_family;
  std::set<std::string> faces;
  for (const auto& [split, part] : splits.items())
    for (const std::string face : part.at("faces")) {
      CHECK(faces.insert(face).second);
      std::string family = face.substr(0, face.find_first_of("-."));
      for (const char* style :
           {"BoldOblique", "BoldItalic", "Bold", "Oblique", "Italic", "Condensed"})
        if (const size_t at = family.find(style); at != std::string::npos) family.erase(at);
      splits_of_family[family].insert(split);
    }
  CHECK(faces.size() == 36);
  CHECK(splits_of_family.size() == 8);
  for (const auto& [family, where] : splits_of_family) {
    INFO(family);
    CHECK(where.size() == 1);
  }
}

TEST_CASE("printed digits are rendered reproducibly and stay inside the image", "[data]") {
  const DatasetManifest manifest = read_manifest("font_digits");
  const auto first = load_dataset("font_digits");
  const ImageDataset again = dataset_loaders().at("font_digits", "the test").load(manifest);
  CHECK(again.images.equal(first->images));
  CHECK((again.splits == first->splits));
  // Strokes reach at most 13.9 pixels from the centre (20x20 turned by 12 degrees, shifted by 2):
  // it may touch a border pixel but never fill it, as a clipped stroke would.
  CHECK(first->images.sum({1, 2, 3}).min().item<float>() > 10.f);
  for (const int64_t border : {0, 27}) {
    CHECK(first->images.select(2, border).max().item<float>() < 1.f);
    CHECK(first->images.select(3, border).max().item<float>() < 1.f);
  }
}

TEST_CASE("a face in two splits is rejected", "[data]") {
  DatasetManifest manifest = read_manifest("font_digits");
  manifest.options["splits"]["test"]["faces"][0] = "DejaVuSans.ttf";
  CHECK_THROWS_WITH(dataset_loaders().at("font_digits", "the test").load(manifest),
                    Catch::Matchers::Contains("a face can be in one split only"));
}
