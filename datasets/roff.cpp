#include "datasets/roff.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

namespace assay {
namespace {

const std::map<std::string_view, std::string_view>& characters() {
  static const std::map<std::string_view, std::string_view> known = {
      {"aq", "'"}, {"dq", "\""}, {"oq", "‘"}, {"cq", "’"}, {"lq", "“"},  {"rq", "”"}, {"bu", "•"},
      {"em", "—"}, {"en", "–"},  {"hy", "-"}, {"mi", "-"}, {"co", "©"},  {"rg", "®"}, {"tm", "™"},
      {"ha", "^"}, {"ti", "~"},  {"ga", "`"}, {"aa", "´"}, {"rs", "\\"}, {"ul", "_"}, {"bv", "|"},
      {"ba", "|"}, {"sl", "/"},  {"Fo", "«"}, {"Fc", "»"}, {"->", "→"},  {"<-", "←"}, {"<=", "≤"},
      {">=", "≥"}, {"mu", "×"},  {"di", "÷"}, {"+-", "±"}, {"de", "°"},  {"ss", "ß"}, {"sc", "§"},
      {"lB", "["}, {"rB", "]"},  {"lC", "{"}, {"rC", "}"}, {"at", "@"},  {"Do", "$"}, {"dg", "†"},
      {"Bq", "„"}, {"bq", "‚"},  {"nb", "⊄"}, {"if", "∞"}, {"pl", "+"},  {"eq", "="}, {"fm", "′"},
      {"sd", "″"}, {"12", "½"},  {"14", "¼"}, {"34", "¾"}};
  return known;
}

/// Reads what follows a backslash at `i` (which is moved past it) and returns what it prints.
class Escapes {
 public:
  explicit Escapes(std::string_view line) : line_(line) {}

  std::string text() {
    std::string out;
    while (i_ < line_.size()) {
      if (line_[i_] != '\\') {
        out += line_[i_++];
        continue;
      }
      ++i_;
      if (i_ == line_.size()) break;
      const char c = line_[i_++];
      if (c == '"' || c == '#') break;  // a comment
      out += escaped(c);
    }
    return out;
  }

 private:
  // A name of one character, of two after '(', or in brackets.
  std::string_view name() {
    if (i_ == line_.size()) return {};
    if (line_[i_] == '(') {
      const std::string_view two = line_.substr(i_ + 1, 2);
      i_ = std::min(line_.size(), i_ + 3);
      return two;
    }
    if (line_[i_] == '[') {
      const size_t end = std::min(line_.find(']', i_), line_.size());
      const std::string_view inside = line_.substr(i_ + 1, end - i_ - 1);
      i_ = std::min(line_.size(), end + 1);
      return inside;
    }
    return line_.substr(i_++, 1);
  }

  void skip_quoted() {
    if (i_ == line_.size()) return;
    const size_t end = line_.find(line_[i_], i_ + 1);
    i_ = end == std::string_view::npos ? line_.size() : end + 1;
  }

  void skip_size() {
    if (i_ < line_.size() && (line_[i_] == '+' || line_[i_] == '-')) ++i_;
    name();
  }

  std::string escaped(char c) {
    switch (c) {
      case '(':
      case '[': {
        --i_;
        const auto known = characters().find(name());
        return known == characters().end() ? "" : std::string(known->second);
      }
      case 'f':
      case '*':
      case 'n':
      case 'F':
      case 'm':
      case 'M':
        name();
        return "";
      case 's':
        skip_size();
        return "";
      case 'h':
      case 'v':
      case 'w':
      case 'o':
      case 'z':
      case 'l':
      case 'L':
        skip_quoted();
        return "";
      case '-':
      case '.':
      case '\'':
      case '`':
        return std::string(1, c);
      case 'e':
      case '\\':
        return "\\";
      case ' ':
      case '~':
      case '0':
        return " ";
      case 't':
        return "\t";
      default:  // no width: \& \| \^ \, \/ \: \% \c \) \d \u
        return "";
    }
  }

  std::string_view line_;
  size_t i_ = 0;
};

/// The arguments of a macro: words, or texts between quotation marks.
std::vector<std::string> arguments(std::string_view rest) {
  std::vector<std::string> all;
  for (size_t i = 0; i < rest.size();) {
    if (rest[i] == ' ' || rest[i] == '\t') {
      ++i;
      continue;
    }
    std::string word;
    const bool quoted = rest[i] == '"';
    for (i += quoted ? 1 : 0; i < rest.size(); ++i) {
      if (quoted && rest[i] == '"') {
        if (i + 1 == rest.size() || rest[i + 1] != '"') break;
        ++i;  // two stand for one
      } else if (!quoted && rest[i] == ' ') {
        break;
      }
      word += rest[i];
      if (rest[i] == '\\' && i + 1 < rest.size()) word += rest[++i];
    }
    if (quoted) ++i;
    all.push_back(Escapes(word).text());
  }
  return all;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += between;
    text += parts[i];
  }
  return text;
}

class Page {
 public:
  void read(std::string_view source) {
    std::istringstream lines{std::string(source)};
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!skips(line)) add(line);
      if (is_mdoc_) return;
    }
    end_paragraph();
  }
  std::string text() const { return is_mdoc_ ? "" : text_; }

 private:
  // Tables and definitions of macros, with the lines that begin and end them.
  bool skips(const std::string& line) {
    if (!until_.empty()) {
      if (line.starts_with(until_)) until_.clear();
      return true;
    }
    if (line.starts_with(".TS")) until_ = ".TE";
    if (line.starts_with(".de")) until_ = "..";
    if (line.starts_with(".ig")) until_ = "..";
    return !until_.empty();
  }

  void add(const std::string& line) {
    if (line.empty()) return end_paragraph();
    if (line[0] != '.' && line[0] != '\'') return add_text(Escapes(line).text());
    std::string_view rest(line);
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    const size_t end = std::min(rest.find(' '), rest.size());
    macro(rest.substr(0, end), rest.substr(std::min(end + 1, rest.size())));
  }

  void macro(std::string_view name, std::string_view rest) {
    static constexpr std::string_view kFonts[] = {"BR", "RB", "IR", "RI", "BI", "IB"};
    if (name == "Dd" || name == "Sh") {
      is_mdoc_ = true;
    } else if (name == "SH" || name == "SS") {
      end_paragraph();
      add_text(joined(arguments(rest), " "));
      end_paragraph();
    } else if (name == "PP" || name == "P" || name == "LP" || name == "sp" || name == "TP" ||
               name == "TQ" || name == "HP" || name == "RS" || name == "RE") {
      end_paragraph();
    } else if (name == "IP") {
      end_paragraph();
      if (const auto all = arguments(rest); !all.empty()) add_text(all.front());
    } else if (name == "br") {
      if (!line_.empty()) line_ += '\n';
    } else if (name == "nf" || name == "EX") {
      end_paragraph();
      keeps_lines_ = true;
    } else if (name == "fi" || name == "EE") {
      end_paragraph();
      keeps_lines_ = false;
    } else if (name == "B" || name == "I" || name == "SM" || name == "SB" || name == "UR" ||
               name == "MT") {
      add_text(joined(arguments(rest), " "));
    } else if (std::find(std::begin(kFonts), std::end(kFonts), name) != std::end(kFonts)) {
      add_text(joined(arguments(rest), ""));
    }
  }

  void add_text(const std::string& text) {
    if (text.empty()) return;
    if (!line_.empty() && line_.back() != '\n') line_ += keeps_lines_ ? '\n' : ' ';
    line_ += text;
  }

  void end_paragraph() {
    while (!line_.empty() && (line_.back() == '\n' || line_.back() == ' ')) line_.pop_back();
    if (!line_.empty()) text_ += line_ + "\n\n";
    line_.clear();
  }

  std::string text_, line_, until_;
  bool keeps_lines_ = false, is_mdoc_ = false;
};

}  // namespace

std::string plain_text_of_man_page(std::string_view source) {
  Page page;
  page.read(source);
  return page.text();
}

}  // namespace assay
