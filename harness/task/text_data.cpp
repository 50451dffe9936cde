#include "harness/task/text_data.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {
namespace {

constexpr const char* kLabelField = "label";

fs::path data_path(const std::string& name) {
  return fs::path(name).is_absolute() ? fs::path(name) : data_folder() / name;
}

}  // namespace

TextData::TextData(JsonReader dataset) : where_(dataset.where()) {
  JsonReader files = dataset.at("files");
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest})
    if (const auto part = files.find(split_name(split))) parts_[split] = read_part(*part);
  files.finish();
  if (parts_.empty()) files.fail("expected files for at least one of train, validation, test");
  reader_ = dataset.string("reader", "");
  if (!reader_.empty()) text_readers().at(reader_, where_);
  origin_ = dataset.string("origin", "");
  dataset.finish();
  hash_ = content_hash();
}

TextData::Part TextData::read_part(JsonReader reader) {
  if (reader.is_string()) return {data_path(reader.as_string()), {}};
  Part part{data_path(reader.string("path")), {}};
  if (const auto labels = reader.find("labels")) part.labels = data_path(labels->as_string());
  part.skip = reader.integer("skip", 0);
  if (part.skip < 0) reader.at("skip").fail("expected 0 or more");
  if (const auto most = reader.find("items")) {
    part.most = most->as_integer();
    if (part.most < 1) most->fail("expected at least 1");
  }
  reader.finish();
  return part;
}

std::string TextData::content_hash() const {
  std::set<fs::path> paths;
  for (const auto& [unused, part] : parts_) {
    paths.insert(part.path);
    if (!part.labels.empty()) paths.insert(part.labels);
  }
  Hasher hasher;
  for (const fs::path& path : paths)
    hasher.text(fs::is_regular_file(path) ? hash_text(read_file(path)) : "missing");
  if (!reader_.empty()) hasher.text(text_readers().at(reader_, where_).version);
  return hasher.hex();
}

std::string TextData::missing_text(const fs::path& path) const {
  return fmt::format(
      "{}: there is no such file. {}: files are looked for under {} "
      "(ASSAY_DATA_DIR changes it){}{}",
      path.string(), where_, data_folder().string(),
      origin_.empty() ? "" : "; this one comes from ", origin_);
}

std::vector<std::string> TextData::splits() const {
  std::vector<std::string> names;
  for (const auto& [split, unused] : parts_) names.push_back(split_name(split));
  return names;
}

void TextData::check_files(Split split) const {
  const auto part = parts_.find(split);
  if (part == parts_.end()) data_error("{}: there is no {} split", where_, split_name(split));
  for (const fs::path& path : {part->second.path, part->second.labels})
    if (!path.empty() && !fs::exists(path)) throw DataError(missing_text(path));
}

std::shared_ptr<const TextItems> TextData::items(Split split) const {
  const std::lock_guard lock(mutex_);
  auto& loaded = loaded_[split];
  if (loaded) return loaded;
  check_files(split);
  if (content_hash() != hash_)
    data_error("{}: a file of the data has changed since the task was read; run the command again",
               where_);
  const Part& part = parts_.at(split);
  TextItems items = load(part);
  if (items.empty())
    data_error("{}: the {} split has no items: {} holds none{}", where_, split_name(split),
               part.path.string(),
               part.skip > 0 ? fmt::format(" after {}", part.skip) : std::string());
  loaded = std::make_shared<const TextItems>(std::move(items));
  return loaded;
}

TextItems TextData::load(const Part& part) const {
  TextItems items = read_text_file(part.path);
  if (!part.labels.empty()) {
    const std::vector<std::string> labels = read_lines(part.labels);
    if (labels.size() != items.size())
      data_error("{}: {} lines, but {} has {} items", part.labels.string(), labels.size(),
                 part.path.string(), items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i].fields.contains(kLabelField))
        data_error("{}: has a '{}' of its own, but {} gives another", items[i].where, kLabelField,
                   part.labels.string());
      items[i].fields[kLabelField] = labels[i];
    }
  }
  const auto size = static_cast<int64_t>(items.size());
  const int64_t begin = std::min(part.skip, size);
  const int64_t end = part.most < 0 ? size : std::min(size, begin + part.most);
  TextItems chosen(std::make_move_iterator(items.begin() + begin),
                   std::make_move_iterator(items.begin() + end));
  if (!reader_.empty())
    for (TextItem& item : chosen)
      item.fields = text_readers().at(reader_, where_).read(item.fields, item.where);
  return chosen;
}

}  // namespace assay
