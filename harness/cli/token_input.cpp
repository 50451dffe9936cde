#include "harness/cli/token_input.h"

#include <algorithm>
#include <charconv>
#include <limits>
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
    TokenId id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error == std::errc::result_out_of_range)
      user_error("{}: '{}' is not a token id: ids go up to {}", option, word,
                 std::numeric_limits<TokenId>::max());
    if (error != std::errc() || end != word.data() + word.size() || id < 0)
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
