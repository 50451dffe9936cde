#include "datasets/splits.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <string_view>

#include "harness/core/error.h"
#include "harness/core/rng.h"

namespace assay {
namespace {

double read_fraction(JsonReader& splits, const std::string& key) {
  const JsonReader value = splits.at(key);
  const double number = value.as_number();
  if (!(number > 0 && number < 1)) value.fail("a fraction must be between 0 and 1");
  return number;
}

}  // namespace

std::vector<int64_t> without_duplicates(const at::Tensor& images, const at::Tensor& labels) {
  ASSAY_CHECK(images.is_contiguous() && labels.numel() == images.size(0), "images and labels");
  const int64_t n = images.size(0);
  const auto label = labels.accessor<int64_t, 1>();
  const auto* bytes = static_cast<const char*>(images.const_data_ptr());
  const size_t size = images.nbytes() / static_cast<size_t>(std::max<int64_t>(n, 1));

  struct Group {
    int64_t first;
    bool contradictory;
  };
  std::map<std::string_view, Group> groups;
  for (int64_t i = 0; i < n; ++i) {
    const std::string_view content(bytes + static_cast<size_t>(i) * size, size);
    const auto [group, is_new] = groups.try_emplace(content, Group{i, false});
    if (!is_new && label[group->second.first] != label[i]) group->second.contradictory = true;
  }
  std::vector<int64_t> kept;
  for (const auto& [content, group] : groups)
    if (!group.contradictory) kept.push_back(group.first);
  std::sort(kept.begin(), kept.end());
  return kept;
}

ImageDataset shuffled(const ImageDataset& dataset, uint64_t seed) {
  const std::vector<int64_t> order =
      Rng(seed, "order").permutation(static_cast<int64_t>(dataset.splits.size()));
  const at::Tensor index = at::tensor(order, at::kLong);
  ImageDataset out;
  out.images = dataset.images.index_select(0, index);
  out.labels = dataset.labels.index_select(0, index);
  for (const int64_t i : order) out.splits.push_back(dataset.splits[static_cast<size_t>(i)]);
  return out;
}

ImageDataset split_by_label(const at::Tensor& images, const at::Tensor& labels, JsonReader splits) {
  const JsonReader seed_value = splits.at("seed");
  if (seed_value.as_integer() < 0) seed_value.fail("a seed must not be negative");
  const auto seed = static_cast<uint64_t>(seed_value.as_integer());
  const double train = read_fraction(splits, "train"),
               validation = read_fraction(splits, "validation");
  const double test = read_fraction(splits, "test");
  splits.finish();
  constexpr double kRounding = 1e-9;
  if (std::abs(train + validation + test - 1) > kRounding)
    splits.fail("the fractions of train, validation and test must sum to 1");

  const at::Tensor kept = at::tensor(without_duplicates(images, labels), at::kLong);
  ImageDataset out{images.index_select(0, kept), labels.index_select(0, kept), {}, ""};
  out.splits.resize(static_cast<size_t>(kept.numel()), Split::kTest);
  std::map<int64_t, std::vector<size_t>> by_label;
  const auto label = out.labels.accessor<int64_t, 1>();
  for (int64_t i = 0; i < label.size(0); ++i) by_label[label[i]].push_back(static_cast<size_t>(i));
  for (const auto& [value, items] : by_label) {
    const auto n = static_cast<int64_t>(items.size());
    const int64_t train_end = std::lround(train * static_cast<double>(n));
    const int64_t validation_end = train_end + std::lround(validation * static_cast<double>(n));
    const std::vector<int64_t> order = Rng(seed, fmt::format("label {}", value)).permutation(n);
    for (int64_t k = 0; k < std::min(validation_end, n); ++k)
      out.splits[items[static_cast<size_t>(order[static_cast<size_t>(k)])]] =
          k < train_end ? Split::kTrain : Split::kValidation;
  }
  return shuffled(out, seed);
}

}  // namespace assay
