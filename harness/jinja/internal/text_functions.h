/// Python's methods of str, on UTF-8.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::jinja {

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// "hello WORLD" to "Hello world".
std::string capitalized(std::string_view text);
/// str.title(): every run of letters is capitalized.
std::string title_of_letters(std::string_view text);
/// Jinja's filter: words begin after white space, hyphens and opening brackets.
std::string title_of_words(std::string_view text);
/// str.isupper() and islower(): there are such letters, and none of the other case.
bool is_cased(std::string_view text, bool upper);

/// strip(), lstrip() and rstrip(): white space, or any of `characters`.
std::string stripped_of(std::string_view text, const std::string* characters, bool left,
                        bool right);
/// The first `count` occurrences; all when it is negative.
std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     int64_t count);
/// split(): by white space without a separator; at most `most` times, or always if negative.
std::vector<std::string> split(std::string_view text, const std::string* separator, int64_t most);
/// rsplit() with a separator.
std::vector<std::string> split_from_right(std::string_view text, const std::string& separator,
                                          int64_t most);
std::vector<std::string> lines_of(std::string_view text, bool keep_ends);
std::vector<std::string> characters_of(std::string_view text);
/// float() of a text; absent when it is no number.
std::optional<double> number_of(std::string_view text);

}  // namespace assay::jinja
