#include "tasks/answer_metrics.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "harness/core/whitespace.h"

namespace assay {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

std::vector<int32_t> code_points(std::string_view text) {
  std::vector<int32_t> out;
  while (!text.empty()) {
    utf8proc_int32_t point = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                         static_cast<utf8proc_ssize_t>(text.size()), &point);
    out.push_back(length > 0 ? point : 0xfffd);
    text.remove_prefix(length > 0 ? static_cast<size_t>(length) : 1);
  }
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  for (const int32_t point : code_points(text)) {
    utf8proc_uint8_t bytes[4];
    const auto length = utf8proc_encode_char(utf8proc_tolower(point), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
  }
  return out;
}

std::string without_punctuation(std::string text) {
  std::erase_if(text, is_ascii_punctuation);
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  while (!text.empty()) {
    if (const size_t space = leading_space(text)) {
      text.remove_prefix(space);
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    words.back() += text.front();
    text.remove_prefix(1);
  }
  return words;
}

std::vector<std::string> squad_words(const std::string& text) {
  std::vector<std::string> words = words_of(without_punctuation(lower_case(text)));
  std::erase_if(
      words, [](const std::string& word) { return word == "a" || word == "an" || word == "the"; });
  return words;
}

double f1_of(double common, size_t answer, size_t reference) {
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(answer);
  const double recall = common / static_cast<double>(reference);
  return 2 * precision * recall / (precision + recall);
}

std::vector<std::string> rouge_words(const std::string& text) {
  std::string normalized = lower_case(text);
  for (char& c : normalized)
    if (!is_digit(c) && (c < 'a' || c > 'z')) c = ' ';
  return words_of(normalized);
}

size_t longest_common_subsequence(const std::vector<std::string>& a,
                                  const std::vector<std::string>& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (const std::string& word : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(row[j], row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

// Normalised as number_match compares.
std::string plain_number(std::string text) {
  std::erase_if(text, [](char c) { return c == ',' || c == '$'; });
  if (const size_t marks = text.rfind("#### "); marks != std::string::npos)
    text.erase(0, marks + 5);
  if (text.ends_with('.')) text.pop_back();
  return lower_case(text);
}

}  // namespace

double exact_match(const std::string& answer, const std::string& reference,
                   const ExactMatchOptions& options) {
  const auto normalized = [&](const std::string& text) {
    std::string out(options.strip ? stripped(text) : std::string_view(text));
    if (options.ignore_case) out = lower_case(out);
    return options.ignore_punctuation ? without_punctuation(std::move(out)) : out;
  };
  return normalized(answer) == normalized(reference) ? 1 : 0;
}

std::string number_after_marks(const std::string& text) {
  const auto is_part = [](char c) { return is_digit(c) || c == '.' || c == ','; };
  constexpr std::string_view kMarks = "#### ";
  for (size_t at = text.find(kMarks); at != std::string::npos; at = text.find(kMarks, at + 1)) {
    const size_t begin = at + kMarks.size();
    size_t end = begin;
    if (end < text.size() && text[end] == '-') ++end;
    const size_t digits = end;
    while (end < text.size() && is_part(text[end])) ++end;
    if (end > digits) return text.substr(begin, end - begin);
  }
  return {};
}

std::string last_number(const std::string& text) {
  const auto is_part = [](char c) { return is_digit(c) || c == '.' || c == ',' || c == '$'; };
  std::string last;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text[at] == '-' ? at + 1 : at;
    size_t end = begin;
    while (end < text.size() && is_part(text[end])) ++end;
    // A single character counts when it is a digit.
    if (end >= begin + 2 || (end == begin + 1 && is_digit(text[begin]))) {
      last = text.substr(at, end - at);
      at = end;
    } else {
      ++at;
    }
  }
  return last;
}

double number_match(const std::string& number, const std::string& solution) {
  return !number.empty() && plain_number(number) == plain_number(solution) ? 1 : 0;
}

double squad_exact(const std::string& answer, const std::string& reference) {
  return squad_words(answer) == squad_words(reference) ? 1 : 0;
}

double squad_f1(const std::string& answer, const std::string& reference) {
  const auto a = squad_words(answer), b = squad_words(reference);
  if (a.empty() || b.empty()) return a == b ? 1 : 0;
  std::map<std::string, int> counts;
  for (const std::string& word : b) ++counts[word];
  double common = 0;
  for (const std::string& word : a) common += counts[word]-- > 0 ? 1 : 0;
  return f1_of(common, a.size(), b.size());
}

double rouge_l(const std::string& answer, const std::string& reference) {
  const auto a = rouge_words(answer), b = rouge_words(reference);
  return f1_of(static_cast<double>(longest_common_subsequence(a, b)), a.size(), b.size());
}

double chrf(const std::string& answer, const std::string& reference) {
  constexpr size_t kMaxOrder = 6;
  constexpr double kBeta2 = 4;
  const auto characters = [](const std::string& text) {
    std::string joined;
    for (const std::string& word : words_of(text)) joined += word;
    return code_points(joined);
  };
  using Points = std::vector<int32_t>;
  const Points a = characters(answer), b = characters(reference);
  double precision = 0, recall = 0;
  int orders = 0;
  for (size_t n = 1; n <= kMaxOrder && n <= a.size() && n <= b.size(); ++n, ++orders) {
    const auto gram = [&](const Points& points, size_t i) {
      return Points(points.begin() + static_cast<int64_t>(i),
                    points.begin() + static_cast<int64_t>(i + n));
    };
    std::map<Points, int> counts;
    for (size_t i = 0; i + n <= b.size(); ++i) ++counts[gram(b, i)];
    double common = 0;
    for (size_t i = 0; i + n <= a.size(); ++i) common += counts[gram(a, i)]-- > 0 ? 1 : 0;
    precision += common / static_cast<double>(a.size() - n + 1);
    recall += common / static_cast<double>(b.size() - n + 1);
  }
  if (orders == 0 || precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return (1 + kBeta2) * precision * recall / (kBeta2 * precision + recall);
}

}  // namespace assay
