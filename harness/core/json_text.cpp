#include "harness/core/json_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

// Limits the recursion of what reads or prints a value: one call for each level.
constexpr size_t kMaxJsonLevels = 100;

/// Python's NaN and Infinity, each replaced by a number of the same length, so that the parser
/// accepts it; and the value of each literal, by the position of its end.
struct Literals {
  std::string text;
  std::map<size_t, double> at;
};

bool is_space_or_one_of(char c, std::string_view marks) {
  return std::string_view(" \t\r\n").find(c) != std::string_view::npos ||
         marks.find(c) != std::string_view::npos;
}

Literals replace_literals(std::string_view text) {
  Literals literals{std::string(text), {}};
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\')
      ++i;
    else if (c == '"')
      in_string = !in_string;
    if (in_string || (c != 'N' && c != 'I')) continue;
    const std::string_view word = c == 'N' ? "NaN" : "Infinity";
    const size_t end = i + word.size();
    // Next to a digit the replacement would become part of another number.
    if (text.substr(i, word.size()) != word ||
        (i > 0 && !is_space_or_one_of(text[i - 1], "[,:-")) ||
        (end < text.size() && !is_space_or_one_of(text[end], "],}")))
      continue;
    literals.text.replace(i, word.size(), "0." + std::string(word.size() - 2, '0'));
    literals.at[end] = c == 'N' ? std::numeric_limits<double>::quiet_NaN()
                                : std::numeric_limits<double>::infinity();
    i = end - 1;
  }
  return literals;
}

/// A character iterator that records the furthest position read.
class PositionIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  PositionIterator(const char* at, const char*& furthest) : at_(at), furthest_(&furthest) {}
  reference operator*() const { return *at_; }
  PositionIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  PositionIterator operator++(int) {
    const PositionIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const PositionIterator& other) const { return at_ == other.at_; }
  bool operator!=(const PositionIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// Builds the value from the parser's events (SAX). Unlike nlohmann's own builder, it rejects
/// duplicate keys, and its time is linear in the text's length.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& where)
      : where_(where),
        literals_(text.find("NaN") != std::string_view::npos ||
                          text.find("Infinity") != std::string_view::npos
                      ? replace_literals(text)
                      : Literals{}),
        text_(literals_.at.empty() ? text : literals_.text) {}

  Json parse() {
    furthest_ = text_.data();
    const PositionIterator end(text_.data() + text_.size(), furthest_);
    Json::sax_parse(PositionIterator(text_.data(), furthest_), end, this);
    return std::move(root_);
  }

  bool null() override { return place(nullptr); }
  bool boolean(bool value) override { return place(value); }
  bool number_integer(int64_t value) override { return place(value); }
  bool number_unsigned(uint64_t value) override { return place(value); }
  bool number_float(double value, const std::string&) override {
    return place(number_or_literal(value));
  }
  bool string(std::string& value) override { return place(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    const auto [entry, added] =
        open_.back()->get_ref<Json::object_t&>().emplace(std::move(name), nullptr);
    if (!added) user_error("{}: the key '{}' appears twice in one object", where_, entry->first);
    slot_ = &entry->second;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    user_error("{}: not valid JSON: {}", where_, error.what());
  }

 private:
  bool place(Json value) {
    put(std::move(value));
    return true;
  }
  Json* put(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*slot_ = std::move(value));
    return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
  }
  bool open(Json empty) {
    if (open_.size() >= kMaxJsonLevels)
      user_error("{}: nested more than {} levels deep", where_, kMaxJsonLevels);
    open_.push_back(put(std::move(empty)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  /// The number read last, or the literal that it replaced. The parser has read one character more
  /// than the number, except at the end of the text.
  double number_or_literal(double value) const {
    if (literals_.at.empty()) return value;
    const auto read = static_cast<size_t>(furthest_ - text_.data());
    auto found = literals_.at.find(read - 1);
    if (found == literals_.at.end() && read == text_.size()) found = literals_.at.find(read);
    if (found == literals_.at.end()) return value;
    return std::signbit(value) ? -found->second : found->second;
  }

  const std::string& where_;
  const Literals literals_;
  const std::string_view text_;
  const char* furthest_ = nullptr;
  Json root_;
  std::vector<Json*> open_;  ///< the objects and arrays that have not ended
  Json* slot_ = nullptr;     ///< of the last key
};

bool all_finite(const Json& value) {
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  return !value.is_structured() ||
         std::all_of(value.begin(), value.end(), [](const Json& part) { return all_finite(part); });
}

void write(const Json& value, int indent, int level, std::string& out) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const auto number = value.get<double>();
    out += std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
    return;
  }
  if (!value.is_structured() || value.empty()) {
    out += value.dump(indent);
    return;
  }
  const auto new_line = [&](int depth) {
    if (indent >= 0) out += '\n' + std::string(static_cast<size_t>(depth * indent), ' ');
  };
  out += value.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& [key, part] : value.items()) {
    if (!first) out += ',';
    first = false;
    new_line(level + 1);
    if (value.is_object()) out += Json(key).dump() + (indent >= 0 ? ": " : ":");
    write(part, indent, level + 1, out);
  }
  new_line(level);
  out += value.is_object() ? '}' : ']';
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  text = without_byte_order_mark(text);
  try {
    return Builder(text, where).parse();
  } catch (const UserError&) {
    if (const std::string hint = wrong_format_hint(text); !hint.empty())
      user_error("{}: not JSON: {}", where, hint);
    if (const std::string problem = encoding_problem(text); !problem.empty())
      user_error("{}: not JSON: {}", where, problem);
    throw;
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

std::string json_text(const Json& value, int indent) {
  if (all_finite(value)) return value.dump(indent);
  std::string out;
  write(value, indent, 0, out);
  return out;
}

}  // namespace assay
