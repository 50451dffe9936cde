#include "harness/task/text_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/core/error.h"
#include "harness/core/json_text.h"
#include "harness/core/regular_file.h"
#include "harness/core/text_encoding.h"
#include "harness/task/gzip.h"

namespace assay {
namespace {

std::string read_checked(const fs::path& path) {
  if (!is_there(path)) data_error("{}: there is no such file", path.string());
  std::string content = read_file(path);
  if (is_gzip(content)) content = gunzip(content, path.string());
  if (const std::string problem = encoding_problem(content); !problem.empty())
    data_error("{} {}", path.string(), problem);
  return std::string(without_byte_order_mark(content));
}

Json parse_data(std::string_view text, const std::string& where) {
  try {
    return parse_json(text, where);
  } catch (const UserError& e) {  // a request's own JSON would be the user's affair
    throw DataError(e.what());
  }
}

TextItem make_item(Json fields, std::string where) {
  if (!fields.is_object()) data_error("{}: expected an object", where);
  return {std::move(fields), std::move(where)};
}

std::vector<TextItem> read_array(const std::string& content, const std::string& file) {
  Json array = parse_data(content, file);
  if (!array.is_array()) data_error("{}: expected an array of objects", file);
  std::vector<TextItem> items;
  for (Json& fields : array)
    items.push_back(
        make_item(std::move(fields), fmt::format("{} item {}", file, items.size() + 1)));
  return items;
}

std::vector<std::string> split_lines(const std::string& content) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    lines.push_back(content.substr(begin, end - begin));
    if (lines.back().ends_with('\r')) lines.back().pop_back();
    begin = end + 1;
  }
  return lines;
}

std::vector<TextItem> read_json_lines(const std::string& content, const std::string& file) {
  std::vector<TextItem> items;
  size_t number = 0;
  for (const std::string& line : split_lines(content)) {
    const std::string where = fmt::format("{} line {}", file, ++number);
    if (line.find_first_not_of(" \t") != std::string::npos)
      items.push_back(make_item(parse_data(line, where), where));
  }
  return items;
}

/// Reads rows of a table one by one. Fields between commas may be quoted and then hold line breaks
/// (RFC 4180). Those between tabs have no quotes, as in the files of GLUE: a quotation mark is
/// text.
class TableReader {
 public:
  TableReader(const std::string& content, char separator, const std::string& file)
      : content_(content), separator_(separator), file_(file) {}

  bool done() const { return at_ >= content_.size(); }
  size_t line() const { return line_; }

  std::vector<std::string> row() {
    const size_t first_line = line_;
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (; at_ < content_.size(); ++at_) {
      const char c = content_[at_];
      line_ += c == '\n' ? 1 : 0;
      if (quoted) {
        if (c != '"')
          fields.back() += c;
        else if (at_ + 1 < content_.size() && content_[at_ + 1] == '"')
          fields.back() += content_[++at_];
        else
          quoted = false;
      } else if (c == '"' && separator_ == ',' && fields.back().empty()) {
        quoted = true;
      } else if (c == separator_) {
        fields.emplace_back();
      } else if (c == '\n') {
        ++at_;
        break;
      } else if (c != '\r') {
        fields.back() += c;
      }
    }
    if (quoted) data_error("{} line {}: a quoted field has no end", file_, first_line);
    return fields;
  }

 private:
  const std::string& content_;
  char separator_;
  const std::string& file_;
  size_t at_ = 0, line_ = 1;
};

std::vector<TextItem> read_table(const std::string& content, char separator,
                                 const std::string& file) {
  TableReader reader(content, separator, file);
  const std::vector<std::string> names = reader.row();
  if (std::set<std::string> seen; !std::all_of(
          names.begin(), names.end(), [&](const auto& name) { return seen.insert(name).second; }))
    data_error("{} line 1: a field's name stands twice among {}", file, fmt::join(names, ", "));
  std::vector<TextItem> items;
  while (!reader.done()) {
    std::string where = fmt::format("{} line {}", file, reader.line());
    std::vector<std::string> values = reader.row();
    if (values.size() == 1 && values.front().empty()) continue;  // an empty line
    if (values.size() != names.size())
      data_error("{}: {} fields, but the first line names {}", where, values.size(), names.size());
    Json fields = Json::object();
    for (size_t i = 0; i < names.size(); ++i) fields[names[i]] = std::move(values[i]);
    items.push_back({std::move(fields), std::move(where)});
  }
  return items;
}

}  // namespace

Registry<TextReader>& text_readers() {
  static Registry<TextReader> registry("text reader");
  return registry;
}

std::vector<TextItem> read_text_file(const fs::path& path) {
  const fs::path name = path.extension() == ".gz" ? path.stem() : path.filename();
  const std::string kind = name.extension();
  const std::vector<std::string> known{".json", ".jsonl", ".csv", ".tsv", ".txt"};
  if (std::find(known.begin(), known.end(), kind) == known.end())
    user_error("{}: files end in {} (or these and .gz)", path.string(), fmt::join(known, ", "));
  const std::string content = read_checked(path);
  const std::string file = path.string();
  if (kind == ".json") return read_array(content, file);
  if (kind == ".jsonl") return read_json_lines(content, file);
  if (kind == ".txt") return {{Json{{"text", content}}, file}};
  return read_table(content, kind == ".csv" ? ',' : '\t', file);
}

std::vector<std::string> read_lines(const fs::path& path) {
  return split_lines(read_checked(path));
}

const Json& text_field(const TextItem& item, const std::string& path) {
  const Json* value = &item.fields;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string step = path.substr(begin, end - begin);
    const bool is_index =
        !step.empty() && step.find_first_not_of("0123456789") == std::string::npos;
    if (value->is_object() && value->contains(step)) {
      value = &(*value)[step];
    } else if (value->is_array() && is_index && step.size() < 9 &&
               std::stoul(step) < value->size()) {
      value = &(*value)[std::stoul(step)];
    } else if (value->is_object()) {
      std::vector<std::string> known;
      for (const auto& [key, unused] : value->items()) known.push_back(key);
      throw DataError(unknown_name("field", path, item.where, known));
    } else {
      data_error("{}: there is no '{}': '{}' leads to {}", item.where, path, path.substr(0, begin),
                 value->is_array() ? fmt::format("a list of {}", value->size())
                                   : std::string(value->type_name()));
    }
    begin = end + 1;
  }
  return *value;
}

std::string field_text(const TextItem& item, const std::string& path) {
  const Json& value = text_field(item, path);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    data_error("{}: '{}' is expected to be text, found {}", item.where, path, json_text(value));
  if (value.is_number() || value.is_boolean()) return value.dump();
  data_error("{}: '{}' is expected to be text, found {}", item.where, path, value.type_name());
}

}  // namespace assay
