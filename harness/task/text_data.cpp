#include "harness/task/text_data.h"

#include <fmt/ranges.h>

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

std::string content_of(const fs::path& path) {
  return fs::is_regular_file(path) ? hash_text(read_file(path)) : "missing";
}

// What determines a file's items: its bytes, and the extension, which selects the parser.
std::string identity_of_file(const fs::path& path) {
  return fmt::format("{} {}", content_of(path), text_file_kind(path));
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
  read_table_format(dataset);
  dataset.finish();
  identity_ = dataset.json();
  has_absolute_path_ = std::any_of(parts_.begin(), parts_.end(), [](const auto& entry) {
    return fs::path(entry.second.name).is_absolute() ||
           fs::path(entry.second.label_name).is_absolute();
  });
  if (has_absolute_path_) identity_ = identified_by_content(std::move(identity_));
  hash_ = content_hash();
}

TextData::Part TextData::read_part(JsonReader reader) {
  Part part;
  if (reader.is_string()) {
    part.name = reader.as_string();
    part.path = data_path(part.name);
    return part;
  }
  part.name = reader.string("path");
  part.path = data_path(part.name);
  if (const auto labels = reader.find("labels")) {
    part.label_name = labels->as_string();
    part.labels = data_path(part.label_name);
  }
  part.skip = reader.integer("skip", 0);
  if (part.skip < 0) reader.at("skip").fail("expected 0 or more");
  if (const auto max_items = reader.find("items")) {
    part.max_items = max_items->as_integer();
    if (part.max_items < 1) max_items->fail("expected at least 1");
  }
  reader.finish();
  return part;
}

void TextData::read_table_format(JsonReader& dataset) {
  if (const auto separator = dataset.find("separator")) {
    const std::string text = separator->as_string();
    if (text.size() != 1 || text == "\"" || text == "\n" || text == "\r")
      separator->fail("expected one character, for example ';'");
    format_.separator = text.front();
  }
  if (const auto columns = dataset.find("columns")) {
    format_.columns = columns->as_strings();
    if (format_.columns.empty()) columns->fail("expected the names of the fields");
    const std::set<std::string> seen(format_.columns.begin(), format_.columns.end());
    if (seen.size() != format_.columns.size()) columns->fail("a field's name occurs twice");
  }
}

Json TextData::identified_by_content(Json dataset) const {
  for (const auto& [split, part] : parts_) {
    Json& files = dataset["files"][split_name(split)];
    if (files.is_string()) {
      files = identity_of_file(part.path);
    } else {
      files["path"] = identity_of_file(part.path);
      if (!part.labels.empty()) files["labels"] = content_of(part.labels);
    }
  }
  return dataset;
}

std::string TextData::content_hash() const {
  std::map<fs::path, fs::path> files;  // in an order independent of the folder
  for (const auto& [unused, part] : parts_)
    for (const auto& [name, path] :
         {std::pair(part.name, part.path), std::pair(part.label_name, part.labels)})
      if (!path.empty()) files.emplace(has_absolute_path_ ? content_of(path) : name, path);
  Hasher hasher;
  for (const auto& [unused, path] : files) hasher.text(content_of(path));
  if (!reader_.empty())
    hasher.text(
        with_plugin(text_readers().at(reader_, where_).version, text_readers().plugin_of(reader_)));
  return hasher.hex();
}

std::vector<std::string> TextData::splits() const {
  std::vector<std::string> names;
  for (const auto& [split, unused] : parts_) names.push_back(split_name(split));
  return names;
}

void TextData::check_files(Split split) const {
  const auto part = parts_.find(split);
  if (part == parts_.end()) data_error("{}: there is no {} split", where_, split_name(split));
  std::vector<std::string> missing;
  std::string known;  // name of a dataset that can be fetched
  for (const auto& [name, path] : {std::pair(part->second.name, part->second.path),
                                   std::pair(part->second.label_name, part->second.labels)}) {
    if (path.empty() || fs::exists(path)) continue;
    missing.push_back(path.string());
    const std::vector<std::string> names = dataset_names();
    const std::string folder = *fs::path(name).begin();
    if (std::find(names.begin(), names.end(), folder) != names.end()) known = folder;
  }
  if (missing.empty()) return;
  data_error(
      "{}: there is no such file. {}: files are searched in the suite's folder and under {} "
      "(ASSAY_DATA_DIR changes it){}{}{}",
      fmt::join(missing, ", "), where_, data_folder().string(),
      origin_.empty() ? "" : "; this one comes from ", origin_,
      known.empty() ? "" : fmt::format("; 'assay data fetch {}' fetches it", known));
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
  TextItems items = read_text_file(part.path, format_);
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
  const int64_t end = part.max_items < 0 ? size : std::min(size, begin + part.max_items);
  TextItems chosen(std::make_move_iterator(items.begin() + begin),
                   std::make_move_iterator(items.begin() + end));
  if (!reader_.empty())
    for (TextItem& item : chosen)
      item.fields = text_readers().at(reader_, where_).read(item.fields, item.where);
  return chosen;
}

std::vector<std::pair<std::string, fs::path>> text_files(const Json& dataset) {
  std::vector<std::pair<std::string, fs::path>> files;
  const auto add = [&](const Json& name) {
    if (name.is_string())
      files.emplace_back(name.get<std::string>(), data_path(name.get<std::string>()));
  };
  if (!dataset.is_object() || !dataset.contains("files")) return files;
  for (const Json& part : dataset["files"]) {
    add(part);
    if (!part.is_object()) continue;
    add(part.value("path", Json()));
    add(part.value("labels", Json()));
  }
  return files;
}

std::vector<fs::path> missing_text_files(const Json& dataset) {
  std::vector<fs::path> missing;
  for (const auto& [unused, path] : text_files(dataset))
    if (!fs::exists(path) && std::find(missing.begin(), missing.end(), path) == missing.end())
      missing.push_back(path);
  return missing;
}

}  // namespace assay
