#include "datasets/document_sources.h"

#include <cctype>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "datasets/roff.h"
#include "harness/core/files.h"
#include "harness/core/text_encoding.h"
#include "harness/task/gzip.h"

namespace assay {
namespace {

/// "6.2.3." and a space at the beginning of a heading: the number without its last dot, and the
/// heading's text.
std::optional<std::pair<std::string, std::string>> heading_of(const std::string& line) {
  size_t end = 0;
  while (end < line.size() && (std::isdigit(static_cast<unsigned char>(line[end])) != 0 ||
                               (end > 0 && line[end] == '.')))
    ++end;
  if (end < 2 || line[end - 1] != '.') return std::nullopt;
  if (line.compare(end, 1, " ") == 0)
    return std::pair(line.substr(0, end - 1), line.substr(end + 1));
  return std::nullopt;
}

constexpr std::string_view kNoBreakSpace = "\u00a0";

std::string with_plain_spaces(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const bool is_space = line.substr(i).starts_with(kNoBreakSpace);
    out.push_back(is_space ? ' ' : line[i]);
    i += is_space ? kNoBreakSpace.size() : 1;
  }
  return out;
}

}  // namespace

std::string unpacked(const fs::path& path) {
  std::string content = read_file(path);
  if (is_gzip(content)) content = gunzip(content, path.string());
  if (!encoding_problem(content).empty()) return "";  // of another encoding than UTF-8
  return content;
}

std::vector<Document> man_pages(const fs::path& root) {
  std::vector<Document> pages;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const fs::path& path = entry.path();
    const std::string section = path.parent_path().filename().string();
    if (!entry.is_regular_file() || !section.starts_with("man")) continue;
    pages.push_back({path.stem().string(), plain_text_of_man_page(unpacked(path))});
  }
  return pages;
}

std::vector<Document> sections(const std::string& book) {
  std::map<std::string, std::string> by_number;
  std::string number, text, paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) text += paragraph + "\n\n";
    paragraph.clear();
  };
  const auto end_section = [&] {
    end_paragraph();
    if (std::string& kept = by_number[number]; text.size() > kept.size()) kept = text;
    text.clear();
  };
  std::istringstream lines(book);
  for (std::string line; std::getline(lines, line);) {
    line = with_plain_spaces(line);
    if (auto heading = heading_of(line)) {
      end_section();
      number = heading->first;
      line = std::move(heading->second);
    }
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos) {
      end_paragraph();
      continue;
    }
    const bool is_rule = line.find_first_not_of("=-*~^. ") == std::string::npos;
    if (is_rule) continue;
    if (!paragraph.empty()) paragraph += ' ';
    paragraph += line.substr(begin);
  }
  end_section();
  by_number.erase("");  // what stands before the first heading
  std::vector<Document> documents;
  for (auto& [name, content] : by_number) documents.push_back({name, std::move(content)});
  return documents;
}

}  // namespace assay
