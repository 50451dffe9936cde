#include "harness/task/internal/convert.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/task/text_converter.h"

namespace assay {
namespace {

constexpr int kIndent = 2;

fs::path list_path(const DatasetManifest& manifest) { return manifest.folder() / "converted.json"; }

}  // namespace

Registry<TextConverter>& text_converters() {
  static Registry<TextConverter> registry("text converter");
  return registry;
}

const TextConverter* converter_of(const DatasetManifest& manifest) {
  const std::vector<std::string> known = text_converters().names();
  return std::find(known.begin(), known.end(), manifest.loader) == known.end()
             ? nullptr
             : &text_converters().at(manifest.loader, manifest.name);
}

void convert_dataset(const DatasetManifest& manifest) {
  log_info("converting dataset {} to text", manifest.name);
  const auto files = text_converters().at(manifest.loader, manifest.name).convert(manifest);
  Json list{{"hash", manifest.hash}, {"files", Json::object()}};
  for (const auto& [name, content] : files) {
    write_file(manifest.folder() / name, content);
    list["files"][name] = sha256_bytes(content);
  }
  write_file(list_path(manifest), list.dump(kIndent) + "\n");
}

std::vector<std::string> conversion_problems(const DatasetManifest& manifest) {
  if (!converter_of(manifest)) return {};
  const fs::path path = list_path(manifest);
  if (!fs::is_regular_file(path))
    return {fmt::format("'{}' is missing: the dataset is not converted to text", path.string())};
  const Json list = read_json(path);
  if (list.value("hash", "") != manifest.hash)
    return {fmt::format("'{}': the texts were made of other data or by another version",
                        path.string())};
  std::vector<std::string> problems;
  for (const auto& [name, sha256] : list.at("files").items()) {
    const fs::path file = manifest.folder() / name;
    if (!fs::is_regular_file(file))
      problems.push_back(fmt::format("'{}' is missing", file.string()));
    else if (sha256_file(file) != sha256)
      problems.push_back(fmt::format("'{}' has changed since it was made", file.string()));
  }
  return problems;
}

}  // namespace assay
