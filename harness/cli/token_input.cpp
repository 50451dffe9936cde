#include "harness/cli/token_input.h"

#include <algorithm>
#include <sstream>

#include "harness/core/error.h"

namespace assay::cli {

TokenIds parse_ids(const std::string& option, const std::string& text) {
  TokenIds ids;
  std::string separated = text;
  std::replace(separated.begin(), separated.end(), ',', ' ');
  std::istringstream in(separated);
  std::string word;
  while (in >> word) {
    size_t used = 0;
    int id = -1;
    try {
      id = std::stoi(word, &used);
    } catch (const std::exception&) {
    }
    if (used != word.size() || id < 0)
      user_error("{}: expected numbers such as 1,15,7, found '{}'", option, text);
    ids.push_back(id);
  }
  return ids;
}

Padding parse_padding(const std::string& text) {
  if (text == "left") return Padding::kLeft;
  if (text == "right") return Padding::kRight;
  throw UserError(unknown_name("padding", text, "the command line", {"left", "right"}));
}

}  // namespace assay::cli
