// Images in colour: files in a folder per class, and CIFAR's binary files.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "datasets/images.h"
#include "datasets/splits.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/rng.h"

namespace assay {

ImageSteps read_image_steps(JsonReader json) {
  ImageSteps steps;
  const auto side = [](const JsonReader& value) {
    const int64_t number = value.as_integer();
    if (number < 1 || number > 4096) value.fail("expected a number of pixels, 1 to 4096");
    return number;
  };
  const auto channels = [](const JsonReader& value) {
    std::vector<double> numbers;
    for (const JsonReader& element : value.elements()) numbers.push_back(element.as_number());
    if (numbers.size() != 3) value.fail("expected a number for red, green and blue");
    return numbers;
  };
  steps.crop = side(json.at("crop"));
  if (const auto resize = json.find("resize")) steps.resize = side(*resize);
  if (const auto filter = json.find("filter")) {
    const std::string name = filter->as_string();
    if (name != "bilinear" && name != "bicubic")
      throw UserError(unknown_name("filter", name, filter->where(), {"bicubic", "bilinear"}));
    steps.filter = name == "bicubic" ? ResizeFilter::kBicubic : ResizeFilter::kBilinear;
  }
  const auto mean = json.find("mean"), deviation = json.find("deviation");
  if (mean.has_value() != deviation.has_value())
    json.fail("'mean' and 'deviation' are given together");
  if (mean) {
    steps.mean = channels(*mean);
    steps.deviation = channels(*deviation);
    for (const double value : steps.deviation)
      if (!(value > 0)) deviation->fail("a deviation must be positive");
  }
  json.finish();
  return steps;
}

LabelledImages read_cifar(const std::string& bytes, int64_t label_bytes, const std::string& where) {
  constexpr int64_t kPixels = int64_t{3} * 32 * 32;
  const int64_t record = label_bytes + kPixels;
  const auto size = static_cast<int64_t>(bytes.size());
  if (size == 0 || size % record != 0)
    data_error("{}: {} bytes are no whole number of records of {}", where, size, record);
  at::Tensor all = at::empty({size / record, record}, at::kByte);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(all.data_ptr<uint8_t>()));
  return {all.narrow(1, label_bytes, kPixels).reshape({-1, 3, 32, 32}).contiguous(),
          all.select(1, label_bytes - 1).to(at::kLong).contiguous()};
}

namespace {

JsonReader options_of(const DatasetManifest& manifest) {
  return JsonReader(manifest.options, fmt::format("dataset '{}': options", manifest.name));
}

/// The class of a file is the folder that it is in, relative to the dataset's; labels follow the
/// order of the classes' names.
ImageDataset load_folder(const DatasetManifest& manifest) {
  JsonReader options = options_of(manifest);
  const ImageSteps steps = read_image_steps(options.at("steps"));
  const int64_t first_label = options.integer("first_label", 0);
  const JsonReader splits = options.at("splits");
  options.finish();
  std::map<std::string, int64_t> labels;
  for (const DataFile& file : manifest.files)
    labels.emplace(fs::path(file.name).parent_path().string(), 0);
  int64_t next = first_label;
  for (auto& [unused, label] : labels) label = next++;

  std::vector<at::Tensor> images;
  std::vector<int64_t> label_of;
  for (const DataFile& file : manifest.files) {
    const fs::path path = manifest.path(file);
    images.push_back(prepare_image(decode_image(read_file(path), path.string()), steps));
    label_of.push_back(labels.at(fs::path(file.name).parent_path().string()));
  }
  if (images.empty()) data_error("dataset '{}': the manifest names no files", manifest.name);
  return split_by_label(at::stack(images), at::tensor(label_of, at::kLong), splits);
}

/// Files whose names begin with "test" are the test split; of the others the fraction "validation"
/// is drawn, label by label.
ImageDataset load_cifar(const DatasetManifest& manifest) {
  JsonReader options = options_of(manifest);
  const JsonReader label_value = options.at("label_bytes");
  const int64_t label_bytes = label_value.as_integer();
  if (label_bytes != 1 && label_bytes != 2) label_value.fail("expected 1 (CIFAR-10) or 2");
  const ImageSteps steps = read_image_steps(options.at("steps"));
  if (steps.resize != 0 || steps.crop != 32)
    label_value.fail("CIFAR's images are 32x32 as they are");
  const JsonReader validation = options.at("validation");
  const double share = validation.as_number();
  if (!(share > 0 && share < 1)) validation.fail("a fraction must be between 0 and 1");
  const auto seed = static_cast<uint64_t>(options.integer("seed", 0));
  options.finish();

  // Test files first: of identical images theirs stay.
  std::vector<DataFile> files = manifest.files;
  const auto is_test = [](const DataFile& file) {
    return fs::path(file.name).filename().string().starts_with("test");
  };
  std::stable_partition(files.begin(), files.end(), is_test);
  std::vector<at::Tensor> images, labels;
  int64_t tests = 0;
  for (const DataFile& file : files) {
    const fs::path path = manifest.path(file);
    LabelledImages part = read_cifar(read_file(path), label_bytes, path.string());
    if (is_test(file)) tests += part.labels.numel();
    images.push_back(std::move(part.images));
    labels.push_back(std::move(part.labels));
  }
  if (tests == 0 || images.size() < 2)
    data_error("dataset '{}': expected a file whose name begins with 'test', and others",
               manifest.name);
  const at::Tensor all = at::cat(images), all_labels = at::cat(labels);
  const std::vector<int64_t> kept = without_duplicates(all, all_labels);
  const at::Tensor index = at::tensor(kept, at::kLong);
  ImageDataset out;
  out.labels = all_labels.index_select(0, index);
  std::vector<at::Tensor> prepared;
  for (const int64_t item : kept) prepared.push_back(prepare_image(all[item], steps));
  out.images = at::stack(prepared);
  out.splits.resize(kept.size(), Split::kTrain);
  std::map<int64_t, std::vector<size_t>> trained;  // by label
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] < tests)
      out.splits[i] = Split::kTest;
    else
      trained[out.labels[static_cast<int64_t>(i)].item<int64_t>()].push_back(i);
  }
  for (const auto& [label, items] : trained) {
    const auto n = static_cast<int64_t>(items.size());
    const std::vector<int64_t> order = Rng(seed, fmt::format("label {}", label)).permutation(n);
    for (int64_t k = 0; k < std::lround(share * static_cast<double>(n)); ++k)
      out.splits[items[static_cast<size_t>(order[static_cast<size_t>(k)])]] = Split::kValidation;
  }
  return shuffled(out, seed);
}

ASSAY_DATASET_LOADER("image_folder", load_folder, "1")
ASSAY_DATASET_LOADER("cifar", load_cifar, "1")

}  // namespace
}  // namespace assay
