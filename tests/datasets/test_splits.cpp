#include <ATen/ATen.h>

#include <map>

#include "datasets/splits.h"
#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

at::Tensor single_pixels(const std::vector<float>& values) {
  return at::tensor(values).reshape({-1, 1, 1, 1});
}

Json shares(double train, double validation, double test) {
  return {{"seed", 5}, {"train", train}, {"validation", validation}, {"test", test}};
}

ImageDataset split(const at::Tensor& images, const at::Tensor& labels, const Json& options) {
  return split_by_label(images, labels, JsonReader(options, "splits"));
}

}  // namespace

TEST_CASE("of identical images the first is kept, and none when their labels differ", "[data]") {
  //                                      0    1    2    3    4    5
  const at::Tensor images = single_pixels({.1f, .2f, .1f, .3f, .3f, .4f});
  const at::Tensor labels = at::tensor({0, 1, 0, 1, 2, 1}, at::kLong);

  CHECK(without_duplicates(images, labels) == std::vector<int64_t>{0, 1, 5});
}

TEST_CASE("every label is divided by the same fractions", "[data]") {
  // 20 items of label 0 and 40 of label 1, distinguished by their pixel.
  const at::Tensor images = at::arange(60, at::kFloat).reshape({60, 1, 1, 1});
  const at::Tensor labels = at::cat({at::zeros({20}, at::kLong), at::ones({40}, at::kLong)});

  const ImageDataset out = split(images, labels, shares(0.5, 0.25, 0.25));

  std::map<std::pair<int64_t, Split>, int> count;
  for (int64_t i = 0; i < 60; ++i) {
    const bool high = out.images[i].item<float>() >= 20;
    CHECK(out.labels[i].item<int64_t>() == (high ? 1 : 0));
    ++count[{high ? 1 : 0, out.splits[static_cast<size_t>(i)]}];
  }
  CHECK(count[{0, Split::kTrain}] == 10);
  CHECK(count[{0, Split::kValidation}] == 5);
  CHECK(count[{0, Split::kTest}] == 5);
  CHECK(count[{1, Split::kTrain}] == 20);
  CHECK(count[{1, Split::kValidation}] == 10);
  CHECK(count[{1, Split::kTest}] == 10);
  CHECK(std::get<0>(at::sort(out.images.flatten())).equal(images.flatten()));
  CHECK_FALSE(out.images.equal(images));

  const ImageDataset again = split(images, labels, shares(0.5, 0.25, 0.25));
  CHECK(again.images.equal(out.images));
  CHECK((again.splits == out.splits));
}

TEST_CASE("wrong split options are rejected by name", "[data]") {
  const at::Tensor images = single_pixels({1, 2});
  const at::Tensor labels = at::zeros({2}, at::kLong);
  CHECK_THROWS_WITH(split(images, labels, shares(0.5, 0.2, 0.2)), Contains("sum to 1"));
  CHECK_THROWS_WITH(split(images, labels, shares(1.5, -0.3, -0.2)), Contains("splits.train"));
  Json unknown = shares(0.5, 0.25, 0.25);
  unknown["sed"] = 1;
  CHECK_THROWS_WITH(split(images, labels, unknown), Contains("'sed'") && Contains("'seed'"));
}
