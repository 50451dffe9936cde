#include "reports/text_table.h"

#include <algorithm>
#include <sstream>

#include "harness/core/text_encoding.h"

namespace assay {
namespace {

constexpr size_t kGap = 2;

// Width in terminal columns: every UTF-8 character counts as one.
size_t width_of(const std::string& text) { return count_characters(text); }

std::string cell_text(const TableCell& cell) { return printable(full_text(cell)); }

// The width of each column: its longest cell or title word.
std::vector<size_t> column_widths(const Table& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    widths.push_back(width_of(table.columns[i].title));
    for (const RowGroup& group : table.groups)
      for (const auto& row : group.rows)
        widths[i] = std::max(widths[i], width_of(cell_text(row[i])) + (i == 0 ? kGap : 0));
  }
  return widths;
}

// A block of the table: the name columns and some of the others.
class Block {
 public:
  Block(const Table& table, const std::vector<size_t>& widths, std::vector<size_t> columns,
        size_t width)
      : table_(table), widths_(widths), columns_(std::move(columns)), width_(width) {}

  std::string text(bool with_notes) const {
    std::string out = line([&](size_t i) { return table_.columns[i].title; });
    for (const RowGroup& group : table_.groups) {
      if (!group.title.empty()) out += group.title + "\n";
      for (const auto& row : group.rows) {
        out += line([&](size_t i) { return (i == 0 ? "  " : "") + cell_text(row[i]); });
        if (with_notes && !row[0].note.empty())
          out += folded("    " + printable(row[0].note), width_, 2 * kGap);
      }
    }
    return out;
  }

 private:
  template <typename TextOf>
  std::string line(TextOf&& text_of) const {
    std::string line;
    for (const size_t i : columns_) {
      const std::string text = text_of(i);
      const std::string space(widths_[i] - width_of(text), ' ');
      line += (line.empty() ? "" : std::string(kGap, ' '));
      line += table_.columns[i].numeric ? space + text : text + space;
    }
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }

  const Table& table_;
  const std::vector<size_t>& widths_;
  std::vector<size_t> columns_;
  size_t width_;
};

}  // namespace

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

std::string folded(const std::string& text, size_t width, size_t indent) {
  std::string out, line = text.substr(0, std::min(text.find_first_not_of(' '), text.size()));
  bool empty = true;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!empty && width_of(line) + 1 + width_of(word) > width) {
      out += line + "\n";
      line = std::string(indent, ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  return out + line + "\n";
}

std::string text_table(const Table& table, size_t width) {
  const std::vector<size_t> widths = column_widths(table);
  std::vector<size_t> names;
  size_t taken_by_names = 0;
  for (size_t i = 0; i < std::min(table.names, table.columns.size()); ++i) {
    names.push_back(i);
    taken_by_names += (i ? kGap : 0) + widths[i];
  }
  std::string out;
  size_t column = names.size();
  do {
    std::vector<size_t> columns = names;
    size_t taken = taken_by_names;
    while (column < widths.size() &&
           (columns.size() == names.size() || taken + kGap + widths[column] <= width)) {
      taken += kGap + widths[column];
      columns.push_back(column++);
    }
    const bool first = out.empty();
    if (!first) out += '\n';
    out += Block(table, widths, columns, width).text(first);
  } while (column < widths.size());
  return out;
}

}  // namespace assay
