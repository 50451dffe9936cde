#include "harness/task/text_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "harness/core/error.h"
#include "harness/core/json_text.h"
#include "harness/core/regular_file.h"
#include "harness/core/text_encoding.h"
#include "harness/jinja/python_text.h"
#include "harness/task/gzip.h"
#include "harness/task/internal/parquet_file.h"

namespace assay {
namespace {

std::string read_checked(const fs::path& path) {
  if (!file_exists(path)) data_error("{}: there is no such file", path.string());
  std::string content = read_file(path);
  if (is_gzip(content)) content = gunzip(content, path.string());
  if (const std::string problem = encoding_problem(content); !problem.empty())
    data_error("{} {}", path.string(), problem);
  return std::string(without_byte_order_mark(content));
}

bool fits_64_bits(const char* begin, const char* end) {
  int64_t with_sign = 0;
  uint64_t without = 0;
  return std::from_chars(begin, end, with_sign).ec == std::errc() ||
         std::from_chars(begin, end, without).ec == std::errc();
}

// Quotes integers outside 64 bits, which the JSON parser would round.
std::string quote_long_integers(std::string_view text) {
  constexpr size_t kSafeDigits = 18;  // always fit in 64 bits
  constexpr std::string_view kNumberCharacters = "0123456789+-.eE";
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (!in_string && (c == '-' || (c >= '0' && c <= '9'))) {
      const size_t end = std::min(text.find_first_not_of(kNumberCharacters, i), text.size());
      const std::string_view number = text.substr(i, end - i);
      const bool quoted =
          number.size() > kSafeDigits &&
          number.find_first_not_of("0123456789", c == '-' ? 1 : 0) == std::string_view::npos &&
          !fits_64_bits(number.data(), number.data() + number.size());
      if (quoted) out += '"';
      out += number;
      if (quoted) out += '"';
      i = end;
      continue;
    }
    if (in_string && c == '\\') out += text[i++];  // an escaped quotation mark ends no string
    if (c == '"') in_string = !in_string;
    if (i < text.size()) out += text[i++];
  }
  return out;
}

bool has_long_number(std::string_view text) {
  constexpr ptrdiff_t kLong = 19;
  ptrdiff_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits >= kLong) return true;
  }
  return false;
}

Json parse_data(std::string_view text, const std::string& where) {
  try {
    if (has_long_number(text)) return parse_json(quote_long_integers(text), where);
    return parse_json(text, where);
  } catch (const UserError& e) {  // the data's JSON is not the user's
    throw DataError(e.what());
  }
}

TextItem make_item(Json fields, std::string where) {
  if (!fields.is_object()) data_error("{}: expected an object", where);
  return {std::move(fields), std::move(where)};
}

std::vector<TextItem> read_array(const std::string& content, const std::string& file) {
  constexpr const char* kLines = "a file with an object per line ends in .jsonl";
  const size_t first = content.find_first_not_of(" \t\r\n");
  const bool is_object = first != std::string::npos && content[first] == '{';
  Json array;
  try {
    array = parse_data(content, file);
  } catch (const DataError& error) {
    if (!is_object) throw;
    data_error("{}; {}", error.what(), kLines);
  }
  if (!array.is_array())
    data_error("{}: expected an array of objects, found {}{}", file, array.type_name(),
               is_object ? fmt::format("; {}", kLines) : "");
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

/// Reads the rows of a table one by one. Quoted fields of .csv files may contain line breaks (RFC
/// 4180). Fields of .tsv files are not quoted, as in GLUE: a quotation mark is text.
class TableReader {
 public:
  /// `default_separator`: that of the file's extension.
  TableReader(const std::string& content, char default_separator, char separator,
              const std::string& file)
      : content_(content), quotes_(default_separator == ','), separator_(separator), file_(file) {}

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
      } else if (c == '"' && quotes_ && fields.back().empty()) {
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
  bool quotes_;
  char separator_;
  const std::string& file_;
  size_t at_ = 0, line_ = 1;
};

std::vector<TextItem> read_table(const std::string& content, char separator,
                                 const TableFormat& format, const std::string& file) {
  TableReader reader(content, separator, format.separator != 0 ? format.separator : separator,
                     file);
  const bool named = !format.columns.empty();
  const std::vector<std::string> names = named ? format.columns : reader.row();
  if (std::set<std::string> seen; !std::all_of(
          names.begin(), names.end(), [&](const auto& name) { return seen.insert(name).second; }))
    data_error("{} line 1: a field's name occurs twice among {}", file, fmt::join(names, ", "));
  std::vector<TextItem> items;
  while (!reader.done()) {
    std::string where = fmt::format("{} line {}", file, reader.line());
    std::vector<std::string> values = reader.row();
    if (values.size() == 1 && values.front().empty()) continue;  // an empty line
    if (values.size() != names.size())
      data_error("{}: {} fields, but {} {}", where, values.size(),
                 named ? "'columns' names" : "the first line names", names.size());
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

std::string text_file_kind(const fs::path& path) {
  const fs::path name = path.extension() == ".gz" ? path.stem() : path.filename();
  return name.extension();
}

std::vector<TextItem> read_text_file(const fs::path& path, const TableFormat& format) {
  const std::string kind = text_file_kind(path);
  const std::vector<std::string> known{".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet"};
  if (std::find(known.begin(), known.end(), kind) == known.end())
    user_error("{}: files end in {} (or these and .gz)", path.string(), fmt::join(known, ", "));
  if (kind == ".parquet") return read_parquet(path);
  const std::string content = read_checked(path);
  const std::string file = path.string();
  if (kind == ".json") return read_array(content, file);
  if (kind == ".jsonl") return read_json_lines(content, file);
  if (kind == ".txt") return {{Json{{"text", content}}, file}};
  return read_table(content, kind == ".csv" ? ',' : '\t', format, file);
}

std::vector<std::string> read_lines(const fs::path& path) {
  return split_lines(read_checked(path));
}

namespace {

// The end of the path step that begins at `begin`: after the longest key of the object, which may
// contain dots, else at the next dot.
size_t step_end(const Json& value, const std::string& path, size_t begin) {
  for (size_t end = path.size(); value.is_object(); end = path.rfind('.', end - 1)) {
    if (end == std::string::npos || end < begin) break;
    if (value.contains(path.substr(begin, end - begin))) return end;
    if (end == 0) break;
  }
  return std::min(path.find('.', begin), path.size());
}

}  // namespace

const Json& text_field(const TextItem& item, const std::string& path) {
  const Json* value = &item.fields;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = step_end(*value, path, begin);
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

std::string printed_field(const TextItem& item, const std::string& path) {
  const Json& value = text_field(item, path);
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number_float()) return python_float(value.get<double>());
  return field_text(item, path);
}

}  // namespace assay
