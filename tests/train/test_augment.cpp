// Images that training shifts and mirrors.
#include "harness/train/internal/augment.h"

#include <ATen/ATen.h>

#include <array>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Every pixel has a value of its own, none of them 0.
at::Tensor numbered(int64_t images) {
  return at::arange(1, images * 30 + 1, at::kFloat).view({images, 1, 5, 6});
}

std::vector<int64_t> first(int64_t count) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < count; ++i) places.push_back(i);
  return places;
}

}  // namespace

TEST_CASE("a crop shifts an image, and zeros move in", "[train][augment]") {
  constexpr int64_t kImages = 200;
  const at::Tensor images = numbered(kImages);
  const at::Tensor seen = augmented(images, first(kImages), {.crop = 1}, 7, 3);
  const at::Tensor padded = at::constant_pad_nd(images, {1, 1, 1, 1});
  std::array<int, 9> counts{};
  for (int64_t i = 0; i < kImages; ++i)
    for (int64_t top = 0; top < 3; ++top)
      for (int64_t left = 0; left < 3; ++left)
        if (at::equal(seen[i], padded[i].narrow(1, top, 5).narrow(2, left, 6)))
          ++counts[static_cast<size_t>(3 * top + left)];
  int all = 0;
  for (const int count : counts) {
    CHECK(count > 5);  // of 22 that are expected
    all += count;
  }
  CHECK(all == kImages);
}

TEST_CASE("half of the images are mirrored left to right", "[train][augment]") {
  constexpr int64_t kImages = 200;
  const at::Tensor images = numbered(kImages);
  const at::Tensor seen = augmented(images, first(kImages), {.flip = true}, 7, 3);
  int mirrored = 0;
  for (int64_t i = 0; i < kImages; ++i) {
    const bool same = at::equal(seen[i], images[i]);
    if (!same) CHECK(at::equal(seen[i], images[i].flip({2})));
    mirrored += same ? 0 : 1;
  }
  CHECK(mirrored > 70);
  CHECK(mirrored < 130);
}

TEST_CASE("what an image looks like depends on seed, step and place", "[train][augment]") {
  const at::Tensor images = numbered(1).expand({40, 1, 5, 6}).contiguous();
  const Augmentation both{.crop = 2, .flip = true};
  const at::Tensor seen = augmented(images, first(40), both, 7, 3);
  CHECK(at::equal(seen, augmented(images, first(40), both, 7, 3)));
  CHECK_FALSE(at::equal(seen, augmented(images, first(40), both, 8, 3)));
  CHECK_FALSE(at::equal(seen, augmented(images, first(40), both, 7, 4)));
  // Not on what else is in the batch, so that parts of a batch see the same.
  CHECK(at::equal(seen.narrow(0, 9, 1),
                  augmented(images.narrow(0, 0, 1), std::vector<int64_t>{9}, both, 7, 3)));
}

TEST_CASE("only images are changed by training", "[train][augment]") {
  const test::BlobHome home;
  Json recipe = test::blob_recipe();
  recipe["defaults"]["base"]["augment"] = {{"crop", 1}};
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(recipe)), Contains("models of images"));
  recipe["architecture"] = {{"model_type", "small_cnn"}, {"channels", 2}, {"classes", 4}};
  CHECK_NOTHROW(Recipe::read(home.write_recipe(recipe)));
  recipe["defaults"]["base"]["augment"] = {{"crop", 28}};
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(recipe)), Contains("28 x 28"));
  recipe["defaults"]["base"]["augment"] = Json::object();
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(recipe)), Contains("changes no image"));
}

TEST_CASE("a recipe's hash says how images are changed", "[train][augment]") {
  const test::BlobHome home;
  Json recipe = test::blob_recipe();
  recipe["architecture"] = {{"model_type", "small_cnn"}, {"channels", 2}, {"classes", 4}};
  const std::string plain = Recipe::read(home.write_recipe(recipe)).hash("base");
  recipe["defaults"]["base"]["augment"] = {{"flip", true}};
  CHECK(Recipe::read(home.write_recipe(recipe)).hash("base") != plain);
}
