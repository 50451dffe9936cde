#include "harness/checkpoint/side_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/checkpoint/output_folder.h"
#include "harness/core/ascii.h"
#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

// Weights, and what a training run keeps of its optimizer.
constexpr std::array kWeights{".safetensors", ".bin",   ".pt",      ".pth",  ".ckpt", ".gguf",
                              ".ggml",        ".h5",    ".msgpack", ".onnx", ".ot",   ".onnx_data",
                              ".tflite",      ".nemo",  ".distcp",  ".npz",  ".pkl",  ".pickle",
                              ".llamafile",   ".keras", ".mlmodel"};
constexpr std::array kWrittenByMerge{"config.json", "assay.json", "README.md"};
constexpr std::array kSkippedFolders{".git", ".cache", "__pycache__", "onnx", "openvino", "coreml"};
constexpr std::string_view kIndex = ".index.json";      // says which file holds which tensor
constexpr std::string_view kAdapter = "adapter_";       // adapter_config.json, adapter_model.*
constexpr std::string_view kLock = ".unfinished.lock";  // of an output that is being written

template <size_t N>
bool contains(const std::array<const char*, N>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool is_weights(const std::string& name) {
  return name.ends_with(kIndex) ||
         contains(kWeights, ascii_lower(fs::path(name).extension().string()));
}

// What transformers' trainer keeps: "checkpoint-500".
bool is_training_checkpoint(const std::string& name) {
  constexpr std::string_view kPrefix = "checkpoint-";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

bool is_file(const fs::path& path) { return fs::is_regular_file(fs::symlink_status(path)); }

class Collector {
 public:
  explicit Collector(const fs::path& top) : top_(top) {}

  SideFiles run() {
    if (fs::is_directory(top_)) enter("");
    std::sort(found_.notes.begin(), found_.notes.end());
    return std::move(found_);
  }

 private:
  void enter(const fs::path& folder) {
    for (const fs::directory_entry& entry : fs::directory_iterator(top_ / folder)) {
      const std::string name = entry.path().filename().string();
      std::error_code broken;  // a link that leads nowhere, or to itself
      const fs::file_type type = entry.status(broken).type();
      if (type == fs::file_type::directory)
        enter_folder(folder, name, entry.is_symlink());
      else if (type == fs::file_type::regular)
        add(folder, name, entry.path());
      else if (!is_weights(name))
        note(folder / name, entry.is_symlink() ? "the link leads to no file" : "it is no file");
    }
  }

  void enter_folder(const fs::path& folder, const std::string& name, bool link) {
    if (contains(kSkippedFolders, name) || is_training_checkpoint(name)) return;
    if (link) return note(folder / name, "it is a link to a folder");
    const fs::path place = top_ / folder / name;
    if (is_file(place / OutputFolder::kMarker)) return;
    if (is_file(place / "assay.json")) return note(folder / name, "it is an output of Assay");
    enter(folder / name);
  }

  void add(const fs::path& folder, const std::string& name, const fs::path& file) {
    const bool top = folder.empty();
    if (name.ends_with(kLock) || name.starts_with(kAdapter) ||
        (top && contains(kWrittenByMerge, name)))
      return;
    if (!is_weights(name))
      found_.files[folder / name] = file;
    else if (!top)  // for instance a dense layer of sentence-transformers
      note(folder / name, "weights of sub-folders are not merged");
  }

  void note(const fs::path& name, const std::string& why) {
    found_.notes.push_back(
        fmt::format("{}: '{}' is not in the merged folder: {}", top_.string(), name.string(), why));
  }

  const fs::path& top_;
  SideFiles found_;
};

}  // namespace

SideFiles side_files(const std::filesystem::path& folder) {
  try {
    return Collector(folder).run();
  } catch (const fs::filesystem_error& error) {
    data_error("cannot read the folder '{}': {}", error.path1().string(), error.code().message());
  }
}

}  // namespace assay
