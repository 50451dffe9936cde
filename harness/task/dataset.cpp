#include "harness/task/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <mutex>

#include "harness/checkpoint/tensors.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/task/internal/fetch.h"
#include "harness/task/text_converter.h"

namespace assay {
namespace {

constexpr std::array<const char*, 3> kSplitNames{"train", "validation", "test"};

/// Of the manifests; the second is the user's own.
std::vector<fs::path> manifest_folders() {
  std::vector<fs::path> folders{home_folder() / "datasets"};
  if (const char* own = std::getenv("ASSAY_DATASETS_DIR"); own && *own) folders.emplace_back(own);
  return folders;
}

/// The manifest of that name; empty when there is none.
fs::path manifest_path(const std::string& name) {
  for (const fs::path& folder : manifest_folders())
    if (fs::exists(folder / (name + ".json"))) return folder / (name + ".json");
  return {};
}

std::vector<DataFile> read_files(const JsonReader& list, const DataSource& source) {
  std::vector<DataFile> files;
  for (JsonReader entry : list.elements()) {
    DataFile file;
    const auto* debian = std::get_if<DebianSource>(&source);
    if (!debian || entry.json().contains("member")) file.member = entry.string("member");
    const bool keeps_folders = std::holds_alternative<HttpsSource>(source);
    file.name = keeps_folders ? file.member : fs::path(file.member).filename().string();
    const fs::path member(file.name);
    if (member.is_absolute() || std::find(member.begin(), member.end(), "..") != member.end())
      entry.fail("'member' must stay within the dataset's folder");
    if (debian) {
      file.package = entry.string("package");
      if (file.member.empty()) file.name = file.package + ".deb";
      if (!debian->versions.contains(file.package))
        entry.fail("'package' is not among the source's packages");
    }
    file.sha256 = entry.string("sha256");
    entry.finish();
    if (file.name.empty()) entry.fail("'member' must end in a file name");
    for (const DataFile& other : files)
      if (other.name == file.name) entry.fail("two files have the same name");
    files.push_back(std::move(file));
  }
  if (files.empty()) list.fail("expected at least one file");
  return files;
}

// Replaces pinned versions and checksums by those of the fetched files: see fetch_dataset.
void apply_fetched(DatasetManifest& manifest) {
  const fs::path path = manifest.folder() / "fetched.json";
  if (!fs::exists(path)) return;
  const Json record = read_json(path);
  JsonReader reader(record, path.string() + ": $");
  for (const auto& [package, version] : reader.at("packages").entries())
    manifest.source["deb"]["packages"][package] = version.as_string();
  for (const auto& [name, sha256] : reader.at("files").entries())
    for (DataFile& file : manifest.files)
      if (file.name == name) file.sha256 = sha256.as_string();
  reader.finish();
}

std::string manifest_hash(const DatasetManifest& manifest, const std::string& loader_version) {
  Hasher hasher;
  hasher.text(manifest.loader).text(loader_version).text(canonical(manifest.options));
  for (const DataFile& file : manifest.files) hasher.text(file.name).text(file.sha256);
  return hasher.hex();
}

/// A loader may be a plugin's.
void check_dataset(const ImageDataset& dataset, const DatasetManifest& manifest) {
  const auto expect = [&](bool met, const std::string& what) {
    if (met) return;
    const Plugin* plugin = dataset_loaders().plugin_of(manifest.loader);
    data_error("the loader '{}'{} of the dataset '{}' gives {}", manifest.loader,
               plugin ? fmt::format(" of the plugin '{}'", plugin->name) : std::string(),
               manifest.name, what);
  };
  const at::Tensor &images = dataset.images, &labels = dataset.labels;
  expect(images.defined() && labels.defined(), "no images or no labels");
  expect(
      images.scalar_type() == at::kFloat && images.dim() == 4,
      fmt::format("images of shape {} and dtype {}: expected float32 [n, channels, height, width]",
                  shape_text(images.sizes()), c10::toString(images.scalar_type())));
  expect(labels.scalar_type() == at::kLong && labels.dim() == 1,
         fmt::format("labels of shape {} and dtype {}: expected int64 [n]",
                     shape_text(labels.sizes()), c10::toString(labels.scalar_type())));
  const int64_t n = images.size(0);
  expect(labels.numel() == n && std::ssize(dataset.splits) == n,
         fmt::format("{} images, {} labels and {} splits: expected as many of each", n,
                     labels.numel(), dataset.splits.size()));
}

}  // namespace

std::string split_name(Split split) { return kSplitNames[static_cast<size_t>(split)]; }

Split split_from_name(const std::string& name, const std::string& where) {
  for (size_t i = 0; i < kSplitNames.size(); ++i)
    if (name == kSplitNames[i]) return static_cast<Split>(i);
  throw UserError(unknown_name("split", name, where, {kSplitNames.begin(), kSplitNames.end()}));
}

const DataFile& DatasetManifest::file(const std::string& file_name) const {
  std::vector<std::string> known;
  for (const DataFile& candidate : files) {
    if (candidate.name == file_name) return candidate;
    known.push_back(candidate.name);
  }
  throw UserError(unknown_name("file", file_name, fmt::format("dataset '{}'", name), known));
}

Registry<DatasetLoader>& dataset_loaders() {
  static Registry<DatasetLoader> registry("dataset loader");
  return registry;
}

std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  std::error_code ignored;  // the home folder may have no datasets
  for (const fs::path& folder : manifest_folders())
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

DatasetManifest read_manifest(const std::string& name, const std::string& where) {
  const std::vector<std::string> known = dataset_names();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw UserError(unknown_name("dataset", name, where, known));

  const fs::path path = manifest_path(name);
  const Json json = read_json(path);
  JsonReader reader(json, path.string() + ": $");
  DatasetManifest manifest;
  manifest.name = name;
  manifest.title = reader.string("title");
  manifest.licence = reader.string("licence");
  const JsonReader source = reader.at("source");
  manifest.source = source.json();
  const DataSource from = parse_source(source);
  manifest.files = read_files(reader.at("files"), from);
  std::string version;
  // What a wheel holds may be files that are used as they are: texts, or a model.
  const bool is_plain = std::holds_alternative<HttpsSource>(from) ||
                        (std::holds_alternative<WheelSource>(from) && !json.contains("loader"));
  if (!is_plain) {
    manifest.loader = reader.string("loader");
    manifest.options = reader.at("options").json();
    const TextConverter* converter = converter_of(manifest);
    version = converter
                  ? with_plugin(converter->version, text_converters().plugin_of(manifest.loader))
                  : with_plugin(dataset_loaders().at(manifest.loader, path.string()).version,
                                dataset_loaders().plugin_of(manifest.loader));
  }
  reader.finish();
  apply_fetched(manifest);
  manifest.hash = manifest_hash(manifest, version);
  return manifest;
}

std::shared_ptr<const ImageDataset> load_dataset(const std::string& name) {
  // Memoized per process: a loaded dataset is immutable.
  static std::mutex mutex;
  static std::map<std::pair<fs::path, std::string>, std::shared_ptr<const ImageDataset>> loaded;
  const std::lock_guard lock(mutex);

  DatasetManifest manifest = read_manifest(name);
  const auto known = loaded.find({manifest.folder(), manifest.hash});
  if (known != loaded.end()) return known->second;
  if (manifest.loader.empty() || converter_of(manifest))
    user_error("the dataset '{}' holds no images", name);
  if (fetch_dataset(manifest)) manifest = read_manifest(name);
  ImageDataset dataset = dataset_loaders().at(manifest.loader, name).load(manifest);
  check_dataset(dataset, manifest);
  dataset.hash = manifest.hash;
  auto shared = std::make_shared<const ImageDataset>(std::move(dataset));
  loaded[{manifest.folder(), manifest.hash}] = shared;
  return shared;
}

}  // namespace assay
